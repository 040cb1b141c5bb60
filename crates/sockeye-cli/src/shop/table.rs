//! Goods in columns.

use sockeye_proto::shop::{Good, Goods};

/// A table of the goods, a line each, without a newline at its end. A greeting doesn't say how many are left.
pub(super) fn of_goods(goods: &Goods) -> String {
    if goods.0.iter().all(|good| good.stock.is_none()) {
        let head = ["", "price"].map(str::to_owned);
        let rows = goods
            .0
            .iter()
            .map(|good| [good.name.clone(), good.price.to_string()]);
        return columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    }
    let head = ["", "price", "left"].map(str::to_owned);
    let rows = goods.0.iter().map(row);
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn row(good: &Good) -> [String; 3] {
    let left = match good.stock {
        None => String::new(),
        Some(0) => "sold out".to_owned(),
        Some(stock) => stock.to_string(),
    };
    [good.name.clone(), good.price.to_string(), left]
}

/// Rows of cells: the first column begins at the left, the others end at the right.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, room))| {
            let blanks = " ".repeat(room - width(cell));
            match at {
                0 => format!("  {cell}{blanks}"),
                _ => format!("  {blanks}{cell}"),
            }
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The columns of a terminal that a text takes: Chinese characters and what goes with them take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{2e80}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_straight_in_chinese_too() {
        let goods = Goods::read("商品:矿泉水(2.5)余3,tea(12)售完。").expect("goods");
        let table = "          price      left\n  矿泉水    2.5         3\n  tea        12  sold out";
        assert_eq!(of_goods(&goods), table);
    }

    #[test]
    fn a_column_of_nothing_is_left_out() {
        let goods = Goods::read("目前商店还有:瓜子(4.5),西瓜(2)。请问您需要什么?").expect("a greeting");
        assert_eq!(of_goods(&goods), "        price\n  瓜子    4.5\n  西瓜      2");
    }
}

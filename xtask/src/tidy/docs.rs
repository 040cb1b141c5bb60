//! The documents: the two READMEs say the same, ARCHITECTURE.md is a short and complete map, no path of one machine.

use super::Finding;

type Files = [(String, String)];

/// The map's limit: a newcomer reads it at one sitting.
const MAP_LINES: usize = 200;
const MAP: &str = "ARCHITECTURE.md";
const MODELS: &str = "crates/sockeye/src/model/";
/// Folders that exist on one developer's machine. A socket below the system's folder for temporary files is no such thing.
const MACHINE: &[&str] = &["/root/", "/home/", "/Users/", "/work/", "/tmp/"];

/// Finds what the documents lack or say too much of.
pub(super) fn check(files: &Files, found: &mut Vec<Finding>) {
    readmes(files, found);
    map(files, found);
    for (path, text) in files.iter().filter(|(p, _)| p.ends_with(".md")) {
        for (i, line) in text.lines().enumerate() {
            if let Some(folder) = MACHINE.iter().find(|f| names_folder(line, f)) {
                let why = "documents name no folder of one machine";
                found.push(Finding::new(path, i + 1, format!("the path `{folder}`"), why));
            }
        }
    }
}

fn names_folder(line: &str, folder: &str) -> bool {
    // `unix:///tmp/x.sock` is an endpoint, `https://host/home/` an address.
    line.match_indices(folder).any(|(at, _)| {
        let word = line[..at]
            .rsplit([' ', '`', '(', '"', '\'', '='])
            .next()
            .unwrap_or_default();
        !word.contains("://")
            && !word.starts_with("unix")
            && !word.ends_with(|c: char| c.is_alphanumeric() || c == '.')
    })
}

fn text<'a>(files: &'a Files, path: &str) -> Option<&'a str> {
    files
        .iter()
        .find(|(p, _)| p == path)
        .map(|(_, text)| text.as_str())
}

fn readmes(files: &Files, found: &mut Vec<Finding>) {
    const WHY: &str = "README.md and README.zh-CN.md have the same content";
    let names = ["README.md", "README.zh-CN.md"];
    let [Some(english), Some(chinese)] = names.map(|n| text(files, n)) else {
        found.push(Finding::new("README.md", 1, "a README is missing", WHY));
        return;
    };
    let (english, chinese) = (Outline::of(english), Outline::of(chinese));
    if english.headings != chinese.headings {
        let what = format!(
            "headings of levels {:?}, there {:?}",
            chinese.headings, english.headings
        );
        found.push(Finding::new(names[1], 1, what, WHY));
    }
    if english.blocks.len() != chinese.blocks.len() {
        let what = format!(
            "{} code blocks, there {}",
            chinese.blocks.len(),
            english.blocks.len()
        );
        found.push(Finding::new(names[1], 1, what, WHY));
    }
    for ((_, one), (line, other)) in english.blocks.iter().zip(&chinese.blocks) {
        if one != other {
            found.push(Finding::new(names[1], *line, "a code block that differs", WHY));
        }
    }
}

/// The levels of the headings and the code blocks (with the line where each begins).
#[derive(Default)]
struct Outline {
    headings: Vec<usize>,
    blocks: Vec<(usize, String)>,
}

impl Outline {
    fn of(text: &str) -> Self {
        let mut outline = Self::default();
        let mut inside = false;
        for (i, line) in text.lines().enumerate() {
            if line.starts_with("```") {
                inside = !inside;
                if inside {
                    outline.blocks.push((i + 1, line.to_owned()));
                }
            } else if inside {
                if let Some((_, block)) = outline.blocks.last_mut() {
                    *block += &format!("\n{line}");
                }
            } else if line.starts_with('#') {
                outline
                    .headings
                    .push(line.bytes().take_while(|&b| b == b'#').count());
            }
        }
        outline
    }
}

fn map(files: &Files, found: &mut Vec<Finding>) {
    let Some(map) = text(files, MAP) else {
        found.push(Finding::new(
            MAP,
            1,
            "missing",
            "a newcomer finds the way in a minute",
        ));
        return;
    };
    let lines = map.lines().count();
    if lines >= MAP_LINES {
        found.push(Finding::new(
            MAP,
            lines,
            format!("{lines} lines"),
            "the map stays under 200",
        ));
    }
    for (path, _) in files {
        let Some(name) = path.strip_prefix(MODELS) else {
            continue;
        };
        let name = name.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        if name != "mod" && !mentions(map, name) {
            found.push(Finding::new(
                path,
                1,
                "not in ARCHITECTURE.md",
                "the map names every file of model/",
            ));
        }
    }
}

/// Whether the map names the file: `name.rs`, or the name in code's quotes.
fn mentions(map: &str, name: &str) -> bool {
    map.contains(&format!("{name}.rs"))
        || map.contains(&format!("`{name}`"))
        || map.contains(&format!("{name}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(p, t)| ((*p).to_owned(), (*t).to_owned()))
            .collect();
        let mut found = Vec::new();
        check(&files, &mut found);
        found
            .iter()
            .map(|f| format!("{}:{} {}", f.path, f.line, f.what))
            .collect()
    }

    const MAP_OK: (&str, &str) = ("ARCHITECTURE.md", "`spin.rs`");

    #[test]
    fn the_readmes_match() {
        let english = ("README.md", "# a\n```sh\n# x\n```\n## b\n");
        assert_eq!(
            found(&[
                MAP_OK,
                english,
                ("README.zh-CN.md", "# 甲\n```sh\n# x\n```\n## 乙\n")
            ]),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&[
                MAP_OK,
                english,
                ("README.zh-CN.md", "# 甲\n```sh\n# y\n```\n## 乙\n")
            ])
            .len(),
            1
        );
        assert_eq!(found(&[MAP_OK, english, ("README.zh-CN.md", "# 甲\n")]).len(), 2);
    }

    #[test]
    fn the_map_names_every_model_and_is_short() {
        let readmes = [("README.md", "# a"), ("README.zh-CN.md", "# 甲")];
        let with = |map: &str, model: &str| found(&[readmes[0], readmes[1], (MAP, map), (model, "")]);
        assert!(with("`spin.rs`", "crates/sockeye/src/model/spin.rs").is_empty());
        assert_eq!(with("`spin.rs`", "crates/sockeye/src/model/epoll.rs").len(), 1);
        assert_eq!(with(&"x\n".repeat(200), "x.rs").len(), 1);
    }

    #[test]
    fn no_folder_of_one_machine() {
        let home = ["", "home", "me", "x"].join("/");
        assert!(names_folder(&format!("see {home}"), "/home/"));
        assert!(!names_folder("nc -U unix:///tmp/echo.sock", "/tmp/"));
        assert!(!names_folder("https://example.org/home/x", "/home/"));
    }
}

//! `shop`: a snack shop. Customers name goods and buy them; what they have and owe is kept for good.
//!
//! | file | what it does |
//! |---|---|
//! | [`visit`] | one customer: what is asked for, from and to the books |
//! | [`stock`] | the goods that a shop begins with, from a file or the usual three |
//! | [`client`] | the other side |
//!
//! The dialogue is [`sockeye_proto::shop`], the books are [`store::till`](crate::store::till). docs/protocols/shop.md says
//! how they go together.

pub mod client;
pub(crate) mod stock;
mod visit;

use crate::auth::{Login, Scheme, Watch};
use crate::catalog::{Service, Starter};
use crate::data::Data;
use crate::settings::{Setting, Settings, wrong};
use crate::store::till::Offer;
use crate::text::{self, Manner, TextConnection};
use sockeye::{Class, Connection, Error, Handler, Result};
use sockeye_proto::text::Encoding;
use std::sync::Arc;
use std::time::SystemTime;
use visit::Visit;

/// Its row in the [catalog](crate::catalog).
pub const SERVICE: Service = Service {
    name: "shop",
    port: 9999,
    schemes: &["tcp"],
    about: "sells snacks to whoever names them; speaks GBK unless `encoding` says otherwise",
    try_stream: "echo list | {nc} | iconv -f gbk",
    try_packets: "echo list | {nc}",
    settings: &[SETTINGS, text::SETTINGS],
    keeps: true,
    login: Login::InFront,
    make: |settings| Shop::from_settings(settings).map(Shop::starter),
};

const SETTINGS: &[Setting] = &[
    Setting {
        name: "goods",
        value: "FILE",
        about: "goods and prices in TOML; new goods come in, known ones get its price",
        repeats: false,
    },
    Setting {
        name: "credit",
        value: "true|false",
        about: "whether who is logged in may owe, as visitors may (false)",
        repeats: false,
    },
    Setting {
        name: "top-up",
        value: "true|false",
        about: "whether customers may top up their balance themselves (true)",
        repeats: false,
    },
];

/// The shop.
pub struct Shop {
    data: Data,
    manner: Manner,
    /// What it has at the start, and whether only if it has nothing yet.
    stock: (Vec<Offer>, bool),
    credit: bool,
    top_up: bool,
    /// Who is logged in has proved to know a password.
    by_password: bool,
    watch: Arc<Watch>,
}

impl Shop {
    /// What the user has set.
    ///
    /// # Errors
    /// When a setting makes no sense, the goods can't be read, or there is nowhere to keep the books.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let unfit = |why: &str| Error::new("serve shop", Class::General, why.to_owned());
        if settings.packets {
            return Err(
                unfit("a customer is a connection, which datagrams have none of").advise("use tcp://")
            );
        }
        let data = settings.data.clone();
        let data = data.ok_or_else(|| unfit("it has no data folder to keep its books in"))?;
        let mut manner = Manner::from_settings(settings)?;
        if settings.value("encoding").is_none() {
            manner.encoding = Encoding::GBK;
        }
        let stock = match settings.value("goods") {
            Some(path) => (stock::read(path).map_err(|why| wrong("goods", path, why))?, false),
            None => (stock::usual()?, true),
        };
        Ok(Shop {
            by_password: settings.auth.scheme == Scheme::Scram,
            watch: Arc::new(Watch::over(data.clone())),
            data,
            manner,
            stock,
            credit: settings.parse("credit")?.unwrap_or(false),
            top_up: settings.parse("top-up")?.unwrap_or(true),
        })
    }

    /// The goods come in before the first customer does.
    fn starter(self) -> Starter {
        let (data, (goods, first)) = (self.data.clone(), self.stock.clone());
        Starter::of_streams(self)
            .after(move || data.beforehand(async |store| store.offer(goods, first, now()).await))
    }
}

impl Handler for Shop {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        let mut visit = Visit::begin(self, conn.user()).await?;
        let mut talk = TextConnection::new(conn, self.manner);
        talk.say(&visit.greeting().await).await?;
        while let Some(message) = talk.next_message().await? {
            let answer = visit.answer(&message.text).await;
            talk.answer(&answer.text).await?;
            if answer.close {
                break;
            }
        }
        talk.flush().await
    }
}

/// Milliseconds since 1970, for the books; a clock before that is as good as none.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

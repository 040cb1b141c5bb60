//! Upper-cases what it is sent, under the model that is named: `cargo run -p sockeye --example upper -- epoll-et`.

use sockeye::{Connection, Event, Handler, Model, Result, Server};

struct Upper;

impl Handler for Upper {
    async fn handle(&self, conn: &mut Connection) -> Result<()> {
        loop {
            let chunk = conn.recv().await?;
            if chunk.is_empty() {
                return Ok(());
            }
            conn.send(chunk.to_ascii_uppercase()).await?;
        }
    }
}

fn main() -> Result<()> {
    let model = std::env::args()
        .nth(1)
        .map_or(Ok(Model::default()), |name| name.parse())?;
    let server = Server::bind("tcp://127.0.0.1:8888")?
        .model(model)
        .observe(|event: &Event| eprintln!("{event:?}"));
    eprintln!("listening {}", server.endpoint());
    server.serve(Upper)
}

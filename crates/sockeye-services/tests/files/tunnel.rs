//! TLS between a client that knows nothing of it and a server.

use sockeye::{Connection, Dialer, Endpoint, Result, TlsClient, block_on};
use std::net::{TcpListener, TcpStream};

/// Where what is sent goes to this server over TLS.
pub(crate) fn to(server: Endpoint) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let here = format!("tcp://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let server = server.clone();
            // Either end may leave as it likes.
            std::thread::spawn(move || drop(block_on(carry(stream, server))));
        }
    });
    here.parse().expect("an endpoint")
}

async fn carry(stream: TcpStream, server: Endpoint) -> Result<()> {
    let mut plain = Connection::adopt(stream.into())?;
    let mut secured = Dialer::new().tls(TlsClient::unverified()?).dial(server).await?;
    tokio::io::copy_bidirectional(&mut plain, &mut secured).await?;
    Ok(())
}

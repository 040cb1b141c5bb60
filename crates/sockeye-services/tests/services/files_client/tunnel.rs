//! TLS in front of a server that knows nothing of it.

use sockeye::{Connection, Listener, Result, TlsServer, block_on, dial};
use std::sync::mpsc::channel;

/// Where what comes over TLS goes to this server.
pub(crate) fn to(server: String) -> String {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let listening = async {
            let mut listener = Listener::bind("tcp://127.0.0.1:0").await?;
            let here = listener.endpoint().to_string().replace("tcp://", "tls://");
            let tls = TlsServer::self_signed(&["127.0.0.1"])?;
            drop(tell.send(here));
            loop {
                let (conn, server, tls) = (listener.accept().await?, server.clone(), tls.clone());
                // Either end may leave as it likes.
                sockeye::spawn_local(async move { drop(carry(conn, &server, &tls).await) })?;
            }
        };
        let ended: Result<Result<()>> = block_on(listening);
        drop(ended);
    });
    told.recv().expect("it listens")
}

async fn carry(mut secured: Connection, server: &str, tls: &TlsServer) -> Result<()> {
    secured.accept_tls(tls).await?;
    let mut plain = dial(server).await?;
    tokio::io::copy_bidirectional(&mut secured, &mut plain).await?;
    Ok(())
}

//! TLS over any of it.

use super::behaviours;
use crate::client::{connect, expect_no_more, send};
use crate::dice::Dice;
use crate::driven;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::{Connection, Dialer, Model, Result, TlsClient};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

behaviours![
    tls_echoes,
    tls_speaks_with_openssl,
    plain_text_to_tls_hurts_itself_only,
    a_handshake_that_never_ends_is_given_up,
    stopping_ends_quiet_tls_connections,
];

fn serve(model: Model) -> Spec {
    Spec::new(model, "echo").with("endpoint", "tls://127.0.0.1:0")
}

async fn dial(served: &Served) -> Result<Connection> {
    let trusted = TlsClient::trusting_der(&[served.certificate()])?;
    Dialer::new().tls(trusted).dial(served.endpoint()).await
}

async fn echo(conn: Connection, bytes: &[u8]) -> Result<()> {
    let (mut reader, mut writer) = split(conn);
    let writing = async {
        writer.write_all(bytes).await?;
        writer.shutdown().await
    };
    let reading = async {
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await?;
        assert!(back == bytes, "other bytes came back");
        Ok(())
    };
    tokio::try_join!(writing, reading)?;
    Ok(())
}

fn tls_echoes(model: Model) {
    let mut served = Served::of(&serve(model));
    let mut dice = Dice::new(13);
    for size in [1, 16 << 10, 1 << 20] {
        let bytes = dice.bytes(size);
        driven::client(model, async {
            let conn = dial(&served).await?;
            let facts = conn.tls().expect("a connection over TLS");
            assert_eq!(facts.protocol, "TLSv1.3");
            assert_eq!(facts.certificates, [served.certificate()]);
            echo(conn, &bytes).await
        });
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
}

fn tls_speaks_with_openssl(model: Model) {
    let served = Served::of(&serve(model));
    let address = served.endpoint().to_string().replace("tls://", "");
    for version in ["-tls1_2", "-tls1_3"] {
        let client = Command::new("openssl")
            .args(["s_client", "-quiet", "-no_ign_eof", version, "-connect", &address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut client) = client else {
            return eprintln!("openssl isn't installed: nothing was tried");
        };
        let mut input = client.stdin.take().expect("its standard input");
        writeln!(input, "good morning").expect("openssl reads");
        let mut line = String::new();
        let mut output = BufReader::new(client.stdout.take().expect("its standard output"));
        output.read_line(&mut line).expect("openssl writes");
        assert_eq!(line, "good morning\n", "{version}");
        drop(input);
        client.wait().expect("openssl ends");
    }
}

fn plain_text_to_tls_hurts_itself_only(model: Model) {
    let mut served = Served::of(&serve(model));
    driven::client(model, async {
        let mut bystander = dial(&served).await?;
        let confused = connect(served.endpoint());
        send(&confused, b"GET / HTTP/1.1\r\n\r\n");
        expect_no_more(&confused);
        bystander.send_all(b"over here").await?;
        let mut back = [0; 9];
        bystander.read_exact(&mut back).await?;
        assert_eq!(&back, b"over here");
        Ok(())
    });
    let reason = served.wait_for_closed_of(2).reason;
    assert!(
        reason.starts_with("failed: TLS handshake tls://127.0.0.1:"),
        "{reason}"
    );
}

fn a_handshake_that_never_ends_is_given_up(model: Model) {
    let mut served = Served::of(&serve(model).with("handshake", 200));
    let client = connect(served.endpoint());
    expect_no_more(&client);
    let reason = served.wait_for_closed().reason;
    assert_eq!(reason, "timed out: TLS handshake: timed out after 200ms");
}

fn stopping_ends_quiet_tls_connections(model: Model) {
    let spec = serve(model).with("drain", 1_000_000).with("quiet", 50);
    let mut served = Served::of(&spec);
    driven::client(model, async {
        let mut conn = dial(&served).await?;
        conn.send_all(b"hello").await?;
        let mut back = [0; 5];
        conn.read_exact(&mut back).await?;
        served.stop();
        assert!(conn.recv().await?.is_empty());
        Ok(())
    });
    assert_eq!(served.wait_for_closed().reason, "finished");
    served.join();
}

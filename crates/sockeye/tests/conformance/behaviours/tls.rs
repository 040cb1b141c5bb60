//! TLS over any of it.

use super::behaviours;
use crate::client::{connect, expect_no_more, send, write_in_pieces};
use crate::dice::Dice;
use crate::driven;
use crate::process_facts::eventually;
use crate::records::Records;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::{Connection, Dialer, Model, Options, Result, TlsClient};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

behaviours![
    tls_echoes,
    tls_speaks_with_openssl,
    plain_text_to_tls_hurts_itself_only,
    a_handshake_that_never_ends_is_given_up,
    stopping_ends_quiet_tls_connections,
    tls_goes_both_ways_through_tiny_buffers,
    tls_hears_everything_before_a_half_close,
    records_arrive_however_they_are_cut,
    the_farewell_right_behind_the_last_bytes_loses_none,
    a_record_that_stays_half_is_given_up,
];

fn serve(model: Model) -> Spec {
    Spec::new(model, "echo").with("endpoint", "tls://127.0.0.1:0")
}

async fn dial(served: &Served) -> Result<Connection> {
    let trusted = TlsClient::trusting_der(&[served.certificate()])?;
    Dialer::new().tls(trusted).dial(served.endpoint()).await
}

async fn echo(conn: Connection, bytes: &[u8]) -> Result<()> {
    echo_in_pieces(conn, bytes, || bytes.len()).await
}

async fn echo_in_pieces(conn: Connection, bytes: &[u8], mut size: impl FnMut() -> usize) -> Result<()> {
    let (mut reader, mut writer) = split(conn);
    let writing = async {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(size().min(rest.len()));
            writer.write_all(piece).await?;
            rest = later;
        }
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

/// Many small writes and a few large ones.
fn tls_goes_both_ways_through_tiny_buffers(model: Model) {
    let mut served = Served::of(&serve(model));
    let mut dice = Dice::new(23);
    let bytes = dice.bytes(400_000);
    driven::client(model, async {
        let trusted = TlsClient::trusting_der(&[served.certificate()])?;
        let tiny = Options::new().send_buffer(4096).receive_buffer(4096);
        let dialer = Dialer::new().tls(trusted).options(tiny);
        let conn = dialer.dial(served.endpoint()).await?;
        echo_in_pieces(conn, &bytes, || dice.size(17)).await
    });
    assert_eq!(served.wait_for_closed().reason, "finished");
}

fn tls_hears_everything_before_a_half_close(model: Model) {
    let spec = Spec::new(model, "whole").with("endpoint", "tls://127.0.0.1:0");
    let mut served = Served::of(&spec);
    let mut dice = Dice::new(24);
    for size in [0, 1, (64 << 10) + 1, 1 << 20] {
        let bytes = dice.bytes(size);
        driven::client(model, async {
            let mut conn = dial(&served).await?;
            conn.send_all(&bytes).await?;
            conn.close_write().await?;
            let mut back = Vec::new();
            conn.read_to_end(&mut back).await?;
            assert!(back == bytes, "other bytes came back");
            Ok(())
        });
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
}

fn records_arrive_however_they_are_cut(model: Model) {
    let served = Served::of(&serve(model));
    let mut dice = Dice::new(25);
    let mut client = Records::shake(&served);
    for _ in 0..20 {
        // Several records, and no more than fits the way there and back: nobody reads meanwhile.
        let bytes = dice.bytes(60_000);
        let records: Vec<u8> = bytes
            .chunks(dice.within(1000..20_000))
            .flat_map(|piece| client.of(piece))
            .collect();
        write_in_pieces(&client.socket, &records, &mut dice);
        assert!(client.hears(&bytes));
    }
}

fn the_farewell_right_behind_the_last_bytes_loses_none(model: Model) {
    let mut served = Served::of(&serve(model));
    let mut dice = Dice::new(26);
    for size in [1, 16 << 10, 40_000, 64 << 10, 100_000] {
        let mut client = Records::shake(&served);
        let bytes = dice.bytes(size);
        let (records, farewell) = (client.of(&bytes), client.farewell());
        client.send(&[&records, &farewell]);
        assert!(client.hears(&bytes));
        assert!(client.hears_the_farewell());
        drop(client);
        assert_eq!(served.wait_for_closed().reason, "finished");
    }
}

fn a_record_that_stays_half_is_given_up(model: Model) {
    let mut served = Served::of(&serve(model).with("idle", 300));
    // A machine that has no time for this test may be late with the words: that client is given up as well.
    let mut tried = 0;
    let talks = || {
        tried += 1;
        let mut client = Records::shake(&served);
        let (whole, half) = (client.of(b"all of it"), client.of(&[7; 10_000]));
        client.send(&[&whole, &half[..5000]]);
        client.hears(b"all of it").then_some(client)
    };
    let client = eventually("talked in time", talks, Option::is_some);
    for _ in 0..tried {
        let reason = served.wait_for_closed().reason;
        assert!(reason.starts_with("timed out: recv tls://127.0.0.1:"), "{reason}");
        assert!(reason.ends_with("timed out after 300ms"), "{reason}");
    }
    drop(client);
}

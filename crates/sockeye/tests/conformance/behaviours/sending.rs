//! The many ways to say and to hear something.

use super::behaviours;
use crate::client::{end_writing, read_in_pieces, receive, receive_to_end, send, write_in_pieces};
use crate::dice::Dice;
use crate::driven::client;
use crate::served::Served;
use crate::spec::Spec;
use sockeye::{Class, Connection, Dialer, Model, Result, TlsClient, dial, time};
use std::io::{Read, Seek, Write};
use std::time::Duration;
use tokio::io::AsyncReadExt;

behaviours![
    files_are_sent,
    files_are_sent_over_tls,
    files_are_received,
    files_are_received_over_tls,
    a_slow_peers_bytes_of_a_file_come_one_by_one,
    a_slow_peers_bytes_of_a_file_come_one_by_one_over_tls,
    what_a_file_does_not_take_is_not_lost,
    exact_reads_and_large_writes,
    lines_however_they_arrive,
    a_listener_made_elsewhere_is_served,
];

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("room on the disk");
    file
}

const FILE: usize = 5_000_000;

/// What is asked for, and how much of it there is.
const PARTS: [(usize, usize, usize); 5] = [
    (0, FILE, FILE),
    (0, 1, 1),
    (4097, 1 << 20, 1 << 20),
    (FILE - 10, 1000, 10),
    (FILE + 1, 1, 0),
];

fn files_are_sent(model: Model) {
    let mut dice = Dice::new(14);
    let bytes = dice.bytes(FILE);
    let file = file_of(&bytes);
    let served = Served::of(&Spec::new(model, "file").with("argument", file.path().display()));
    let peer = served.connect();
    for (offset, count, there) in PARTS {
        send(&peer, format!("{offset} {count}\n"));
        read_in_pieces(&peer, &bytes[offset.min(FILE)..][..there], &mut dice);
        let end = format!("\nsent {there}\n");
        assert_eq!(receive(&peer, end.len()), end.as_bytes());
    }
}

fn files_are_sent_over_tls(model: Model) {
    let bytes = Dice::new(15).bytes(FILE);
    let file = file_of(&bytes);
    let spec = Spec::new(model, "file").with("endpoint", "tls://127.0.0.1:0");
    let served = Served::of(&spec.with("argument", file.path().display()));
    let came = client(model, async {
        let trusted = TlsClient::trusting_der(&[served.certificate()])?;
        let mut conn = Dialer::new().tls(trusted).dial(served.endpoint()).await?;
        conn.send_all(format!("0 {FILE}\n").as_bytes()).await?;
        let mut came = vec![0; FILE];
        conn.read_exact(&mut came).await?;
        Ok(came)
    });
    assert!(came == bytes, "another file came");
}

/// Lines and bytes in one go, and cut anywhere.
fn files_are_received(model: Model) {
    let mut dice = Dice::new(18);
    let bytes = dice.bytes(FILE);
    let file = file_of(&[]);
    let served = Served::of(&Spec::new(model, "to-file").with("argument", file.path().display()));
    let peer = served.connect();
    let half = FILE / 2;
    for (offset, part) in [
        (0, &bytes[..half]),
        (half, &bytes[half..]),
        (0, &[]),
        (7, &bytes[7..8]),
    ] {
        let line = format!("{offset} {}\n", part.len());
        write_in_pieces(&peer, &[line.as_bytes(), part].concat(), &mut dice);
        let end = format!("received {}\n", part.len());
        assert_eq!(receive(&peer, end.len()), end.as_bytes());
    }
    assert!(
        std::fs::read(file.path()).expect("a file") == bytes,
        "another file came"
    );
    send(&peer, "0 1000\nabc");
    end_writing(&peer);
    assert_eq!(receive_to_end(&peer), b"received 3\n");
}

fn files_are_received_over_tls(model: Model) {
    let bytes = Dice::new(19).bytes(FILE);
    let file = file_of(&[]);
    let spec = Spec::new(model, "to-file").with("endpoint", "tls://127.0.0.1:0");
    let served = Served::of(&spec.with("argument", file.path().display()));
    let came = client(model, async {
        let trusted = TlsClient::trusting_der(&[served.certificate()])?;
        let mut conn = Dialer::new().tls(trusted).dial(served.endpoint()).await?;
        conn.send_all(format!("0 {FILE}\n").as_bytes()).await?;
        conn.send_all(&bytes).await?;
        let mut answer = vec![0; "received 5000000\n".len()];
        conn.read_exact(&mut answer).await?;
        Ok(answer)
    });
    assert_eq!(came, b"received 5000000\n");
    assert!(
        std::fs::read(file.path()).expect("a file") == bytes,
        "another file came"
    );
}

/// What is received into a file may wait for more, but not for what comes only afterwards; and other receives wait for nothing.
async fn one_by_one(mut conn: Connection) -> Result<()> {
    const DUE: u64 = 1 << 24;
    const GIVEN_UP: Duration = Duration::from_millis(1);
    let mut file = tempfile::tempfile()?;
    for at in 0..20 {
        conn.send("x").await?;
        let come = loop {
            let receiving = conn.recv_file_some(&file, at, DUE);
            if at % 2 == 0 {
                break receiving.await?;
            }
            // Also when it is given up again and again.
            match time::timeout(GIVEN_UP, receiving).await {
                Ok(come) => break come?,
                Err(error) => assert_eq!(error.class(), Class::Timeout),
            }
        };
        assert_eq!(come, 1);
        // One that is given up asks for as much.
        let more = time::at_once(conn.recv_file_some(&file, at, DUE)).await?;
        assert!(more.is_none(), "nobody has sent it: {more:?}");
        conn.send("y").await?;
        assert_eq!(conn.recv().await?[..], *b"y");
    }
    conn.send("the end").await?;
    conn.close_write().await?;
    assert_eq!(conn.recv_file(&file, 20, DUE).await?, 7);
    let mut kept = String::new();
    file.rewind()?;
    file.read_to_string(&mut kept)?;
    assert_eq!(kept, format!("{}the end", "x".repeat(20)));
    Ok(())
}

fn a_slow_peers_bytes_of_a_file_come_one_by_one(model: Model) {
    let served = Served::of(&Spec::new(model, "echo"));
    client(model, async { one_by_one(dial(served.endpoint()).await?).await });
}

fn a_slow_peers_bytes_of_a_file_come_one_by_one_over_tls(model: Model) {
    let served = Served::of(&Spec::new(model, "echo").with("endpoint", "tls://127.0.0.1:0"));
    client(model, async {
        let trusted = TlsClient::trusting_der(&[served.certificate()])?;
        one_by_one(Dialer::new().tls(trusted).dial(served.endpoint()).await?).await
    });
}

fn what_a_file_does_not_take_is_not_lost(model: Model) {
    let mut dice = Dice::new(20);
    let bytes = dice.bytes(300_000);
    let file = file_of(&[]);
    let served = Served::of(&Spec::new(model, "to-locked-file").with("argument", file.path().display()));
    let peer = served.connect();
    for part in [&bytes[..], &bytes[..1]] {
        send(&peer, format!("0 {}\n", part.len()));
        send(&peer, part);
        read_in_pieces(&peer, &[&b"not kept:\n"[..], part].concat(), &mut dice);
    }
}

fn exact_reads_and_large_writes(model: Model) {
    let served = Served::start(model, "framed");
    let peer = served.connect();
    let mut dice = Dice::new(16);
    for size in [0, 1, 3, 65_536, 200_000, 4_000_000] {
        let mut body = dice.bytes(size);
        let length = (size as u32).to_le_bytes();
        write_in_pieces(&peer, &[&length[..], &body].concat(), &mut dice);
        body.reverse();
        read_in_pieces(&peer, &[&length[..], &body].concat(), &mut dice);
    }
    end_writing(&peer);
    assert!(receive_to_end(&peer).is_empty());
}

fn lines_however_they_arrive(model: Model) {
    let served = Served::start(model, "lines");
    let peer = served.connect();
    for letter in "so\nit goes\n\nsaid he".bytes() {
        send(&peer, [letter]);
    }
    assert_eq!(receive(&peer, 12), b"SO\nIT GOES\n\n");
    let long = "a long line ".repeat(20_000);
    send(&peer, format!("\n{long}\n{long}"));
    end_writing(&peer);
    let expected = format!("SAID HE\n{long}\n{long}").to_uppercase();
    assert!(
        receive_to_end(&peer) == expected.as_bytes(),
        "other lines came back"
    );
}

fn a_listener_made_elsewhere_is_served(model: Model) {
    let mut served = Served::of(&Spec::new(model, "echo").with("adopt", true));
    served.expect_alive();
    served.stop();
    served.join();
}

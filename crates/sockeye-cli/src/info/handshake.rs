//! TLS: whether the server is believed, and what the handshake settles.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use sockeye::{Address, Connection, Distrust, Error, TlsClient, TlsFacts, time};

use super::certificate::Certificate;
use super::connect::{self, Socket};
use super::failure::{Failure, Step};
use super::plan::{Plan, TlsPlan};
use super::report::{Ends, Kept, Reason, Report, Tls, micros};

/// The handshake that was asked for, if one was, and what the connection is like after it. A server that isn't believed
/// is looked at a second time, without belief: its certificate is what one wants to see then.
pub(super) async fn tls(plan: &Plan, report: &mut Report, socket: Socket) -> Result<(), Failure> {
    report.connection = socket.ends();
    let (Some(tls), Socket::Stream(mut conn)) = (&plan.tls, socket) else {
        return Ok(());
    };
    let failed = |error: &Error| Failure::new(Step::Tls, error);
    let (client, trusted) = match (&tls.client, TlsClient::unverified()) {
        (Ok(client), _) => (client.clone(), Some(true)),
        // Nobody to ask for trust, and none is needed.
        (Err(_), Ok(unverified)) if tls.insecure => (unverified, None),
        (Err(error), _) => return Err(failed(error)),
    };
    let error = match shake(plan, tls, &mut conn, &client).await {
        Ok(took) => {
            report.tls = told(tls, &conn, took, trusted, None);
            report.connection = take_leave(conn).await;
            return Ok(());
        }
        Err(error) => error,
    };
    let Some(why) = Distrust::of(&error) else {
        let is_ours = error.io_kind() == Some(ErrorKind::InvalidInput); // a name that no certificate can have
        return Err(failed(&match is_ours || error.advice().is_some() {
            true => error,
            false => error.advise("does the server speak TLS on this port?"),
        }));
    };
    let peer = conn.peer().clone();
    drop(conn); // a server that serves one at a time is free for the second look
    match second_look(plan, tls, &peer).await {
        Ok((second, took)) => {
            report.tls = told(tls, &second, took, Some(false), Some(why));
            report.connection = take_leave(second).await;
        }
        Err(error) if tls.insecure => return Err(failed(&error)),
        // That it isn't believed is worth more than why it could not be seen again.
        Err(_) => {}
    }
    match tls.insecure {
        true => Ok(()),
        false => Err(failed(&error.advise(advice(why)))),
    }
}

async fn second_look(plan: &Plan, tls: &TlsPlan, peer: &Address) -> sockeye::Result<(Connection, Duration)> {
    let mut second = connect::again(plan, peer).await?;
    let took = shake(plan, tls, &mut second, &TlsClient::unverified()?).await?;
    Ok((second, took))
}

/// What the connection is like, and a goodbye: a server logs one that just breaks off as a failure.
async fn take_leave(conn: Connection) -> Option<Ends> {
    let socket = Socket::Stream(conn);
    let ends = socket.ends();
    if let Socket::Stream(conn) = socket {
        // All is known that was asked for, so it is no matter if the server can't hear it.
        let _ = conn.close().await;
    }
    ends
}

/// One handshake and how long it took.
async fn shake(
    plan: &Plan,
    tls: &TlsPlan,
    conn: &mut Connection,
    client: &TlsClient,
) -> sockeye::Result<Duration> {
    let names: Vec<&str> = tls.protocols.iter().map(String::as_str).collect();
    let client = client.clone().protocols(&names);
    let peer = conn.peer().endpoint("tls");
    let begun = Instant::now();
    let shaken = time::timeout(plan.limit, conn.start_tls(&client, &tls.name)).await;
    let late = |_| {
        let error = Error::timed_out("TLS handshake", plan.limit).at(peer);
        error.advise("does the server speak TLS on this port?")
    };
    shaken.map_err(late)??;
    Ok(begun.elapsed())
}

fn told(
    tls: &TlsPlan,
    conn: &Connection,
    took: Duration,
    trusted: Option<bool>,
    distrust: Option<Distrust>,
) -> Option<Tls> {
    let TlsFacts {
        protocol,
        cipher,
        group,
        alpn,
        certificates,
    } = conn.tls()?;
    Some(Tls {
        server_name: tls.name.clone(),
        protocol,
        cipher,
        group,
        alpn,
        trusted,
        distrust: distrust.map(|why| Reason {
            kind: why.name(),
            message: why.to_string(),
        }),
        pin: certificates
            .first()
            .and_then(|shown| Kept::of(&tls.places, shown, trusted == Some(true))),
        certificates: certificates.iter().map(|der| Certificate::read(der)).collect(),
        took_us: micros(took),
    })
}

fn advice(why: Distrust) -> String {
    let what = match why {
        Distrust::UnknownIssuer | Distrust::BadSignature => "trust its issuer with --ca FILE",
        Distrust::WrongPurpose => "trust this very certificate with --ca FILE",
        Distrust::WrongName => "name one of its names with --servername",
        _ => "its owner must renew it",
    };
    format!("{why}; {what}, or look on with --insecure")
}

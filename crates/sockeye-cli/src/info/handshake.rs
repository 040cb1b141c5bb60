//! TLS: whether the server is believed, and what the handshake settles.

use std::time::{Duration, Instant};

use sockeye::{Connection, Distrust, Error, TlsClient, TlsFacts, time};

use super::certificate::Certificate;
use super::connect::{self, Socket};
use super::failure::{Failure, Step};
use super::plan::{Plan, TlsPlan};
use super::report::{Reason, Report, Tls, micros};

/// The handshake that was asked for, if one was. A server that isn't believed is looked at a second time, without belief:
/// its certificate is what one wants to see then.
pub(super) async fn tls(plan: &Plan, report: &mut Report, socket: &mut Socket) -> Result<(), Failure> {
    let (Some(tls), Socket::Stream(conn)) = (&plan.tls, socket) else {
        return Ok(());
    };
    let failed = |error: &Error| Failure::new(Step::Tls, error);
    let client = match &tls.client {
        Ok(client) => client,
        // Nobody to ask for trust, and none is needed.
        Err(_) if tls.insecure => {
            let took = unverified(plan, tls, conn)
                .await
                .map_err(|error| failed(&error))?;
            report.tls = told(tls, conn, took, None, None);
            return Ok(());
        }
        Err(error) => return Err(failed(error)),
    };
    let error = match shake(plan, tls, conn, client).await {
        Ok(took) => {
            report.tls = told(tls, conn, took, Some(true), None);
            return Ok(());
        }
        Err(error) => error,
    };
    let Some(why) = Distrust::of(&error) else {
        return Err(failed(&error.advise("does the server speak TLS on this port?")));
    };
    match second_look(plan, tls, conn).await {
        Ok((second, took)) => {
            report.tls = told(tls, &second, took, Some(false), Some(why));
            *conn = second;
        }
        // What is known already is worth more than why it could not be seen again.
        Err(_) if !tls.insecure => {}
        Err(error) => return Err(failed(&error)),
    }
    match tls.insecure {
        true => Ok(()),
        false => Err(failed(&error.advise(advice(why)))),
    }
}

async fn second_look(
    plan: &Plan,
    tls: &TlsPlan,
    conn: &Connection,
) -> sockeye::Result<(Connection, Duration)> {
    let mut second = connect::again(plan, conn).await?;
    let took = unverified(plan, tls, &mut second).await?;
    Ok((second, took))
}

async fn unverified(plan: &Plan, tls: &TlsPlan, conn: &mut Connection) -> sockeye::Result<Duration> {
    shake(plan, tls, conn, &TlsClient::unverified()?).await
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
        certificates: certificates.iter().map(|der| Certificate::read(der)).collect(),
        took_us: micros(took),
    })
}

fn advice(why: Distrust) -> String {
    let what = match why {
        Distrust::UnknownIssuer | Distrust::BadSignature => "trust its issuer with --ca FILE",
        Distrust::WrongName => "name one of its names with --servername",
        _ => "its owner must renew it",
    };
    format!("{why}; {what}, or look on with --insecure")
}

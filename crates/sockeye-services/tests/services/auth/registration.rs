//! Accounts that people make for themselves.

use super::{Accounts, PASSWORD, client, dial, guarded};
use crate::serving::Served;
use sockeye::{Model, block_on};
use sockeye_services::auth::client::{log_in, register};
use sockeye_services::auth::{Gate, Guard, Register, invitation, invitation_hash};
use std::sync::Arc;

fn serve(accounts: &Accounts, who: Register) -> Served {
    let gate = Gate::new(accounts.data.clone(), who);
    guarded(
        "tcp://127.0.0.1:0",
        Model::default(),
        Guard::scram(Arc::new(gate)),
    )
}

fn try_it(served: &Served, user: &str, code: Option<&str>) -> Result<(), String> {
    let talk = client(async {
        let mut conn = dial(served).await?;
        register(&mut conn, user, PASSWORD, code).await
    });
    talk.map_err(|error| error.cause())
}

#[test]
fn everybody_may_where_it_is_open_and_nobody_where_it_is_closed() {
    let accounts = Accounts::of(&["anna"]);
    let open = serve(&accounts, Register::Open);
    assert_eq!(try_it(&open, "bert", None), Ok(()));
    let logged_in = client(async {
        let mut conn = dial(&open).await?;
        log_in(&mut conn, "bert", PASSWORD).await
    });
    logged_in.expect("an account");
    for taken in ["bert", "Bert", "ANNA"] {
        assert!(try_it(&open, taken, None).expect_err(taken).contains("already"));
    }
    for bad in ["..", ".ssh", "a/b", "a b", ""] {
        assert!(
            try_it(&open, bad, None)
                .expect_err(bad)
                .contains("1 to 64 letters")
        );
    }
    let closed = serve(&accounts, Register::Closed);
    assert!(
        try_it(&closed, "carl", None)
            .expect_err("closed")
            .contains("by the operator alone")
    );
}

#[test]
fn an_invitation_is_good_once() {
    let accounts = Accounts::of(&[]);
    let served = serve(&accounts, Register::Invite);
    let code = invitation().expect("a code");
    let store = accounts.data.store().expect("a store");
    let kept = block_on(store.add_invitation(invitation_hash(&code), 0)).expect("a model");
    assert!(kept.expect("a store"));
    assert!(
        try_it(&served, "anna", None)
            .expect_err("no code")
            .contains("an invitation is needed")
    );
    assert!(
        try_it(&served, "anna", Some("0123"))
            .expect_err("a guess")
            .contains("no such invitation")
    );
    assert_eq!(try_it(&served, "anna", Some(&code)), Ok(()));
    assert!(
        try_it(&served, "bert", Some(&code))
            .expect_err("twice")
            .contains("it was used")
    );
}

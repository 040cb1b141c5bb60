//! Clients that use the library themselves.

use sockeye::{Model, Result, run};

/// Drives a client as the model waits; whatever goes wrong with it is the test's failure.
pub(crate) fn client<T>(model: Model, talk: impl Future<Output = Result<T>>) -> T {
    run(model, talk)
        .expect("the model runs")
        .expect("the client gets on")
}

//! Endpoints as arguments: parsed already, or still text.

use super::Endpoint;
use crate::error::Result;

/// What can be given where an endpoint is wanted: an [`Endpoint`], a reference to one, or its text.
pub trait ToEndpoint {
    /// The endpoint.
    ///
    /// # Errors
    /// When the text is none.
    fn to_endpoint(self) -> Result<Endpoint>;
}

impl ToEndpoint for Endpoint {
    fn to_endpoint(self) -> Result<Endpoint> {
        Ok(self)
    }
}

impl ToEndpoint for &Endpoint {
    fn to_endpoint(self) -> Result<Endpoint> {
        Ok(self.clone())
    }
}

impl ToEndpoint for &str {
    fn to_endpoint(self) -> Result<Endpoint> {
        self.parse()
    }
}

impl ToEndpoint for &String {
    fn to_endpoint(self) -> Result<Endpoint> {
        self.parse()
    }
}

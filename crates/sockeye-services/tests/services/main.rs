//! The services and the load generator, over real sockets.

mod load;

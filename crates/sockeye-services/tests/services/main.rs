//! Each service as its peers meet it: a module per service, each behaviour under every model.

mod serving;

mod ask;
mod auth;
mod chargen;
mod conversation;
mod daytime;
mod discard;
mod echo;
mod files_client;
mod hello;
mod load;
mod reply;
mod rows;
mod shop;
mod till;

//! Each service as its peers meet it: a module per service, each behaviour under every model.

mod network;
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
mod impairment;
mod load;
mod reply;
mod rows;
mod shield;
mod shop;
mod till;

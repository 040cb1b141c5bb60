//! The codecs as their users see them, a module for each subject.

mod challenge;
mod chargen;
mod damaged;
mod daytime;
mod files;
mod frames;
mod framing;
mod framing_random;
mod hexdump;
mod properties;
mod reply;
mod reply_syntax;
mod scram;
mod shop;
mod text;

//! The other side of the shop: a customer's end of the connection.

use crate::text::{Manner, TextConnection};
use sockeye::{Connection, Result};

/// A connection to a shop: this one, or any that speaks the dialogue with or without newlines.
pub struct Client<'a> {
    talk: TextConnection<'a>,
}

impl<'a> Client<'a> {
    /// Begins on a connection.
    pub fn new(conn: &'a mut Connection, manner: Manner) -> Self {
        Client {
            talk: TextConnection::new(conn, manner),
        }
    }

    /// What the shop says first, or next; `None` when it has closed.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn hear(&mut self) -> Result<Option<String>> {
        let heard = self.talk.next_message().await?;
        Ok(heard.map(|message| message.text))
    }

    /// Says a command, and what the shop answers.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn ask(&mut self, command: &str) -> Result<Option<String>> {
        self.talk.say(command).await?;
        self.talk.say("\n").await?;
        self.hear().await
    }
}

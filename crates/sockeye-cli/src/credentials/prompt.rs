//! A password, typed on the terminal and not seen there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The longest password that can be typed.
const MAX_TYPED: usize = 1024;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const ERASE: [u8; 2] = [0x08, 0x7f];
const ERASE_ALL: u8 = 0x15;

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Unseen<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Unseen<'a> {
    fn on(terminal: &'a File) -> Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        // Ctrl-C arrives as a character, so that the terminal is as it was when we leave.
        modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(Unseen { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Asks for a password.
pub(crate) fn password(question: &str) -> Result<Zeroizing<String>> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = terminal.context("there is no terminal to ask for a password; use --password-file")?;
    let typed = {
        // First of all: what is typed as soon as the question stands there is not to be seen either.
        let unseen = Unseen::on(&terminal)?;
        (&terminal).write_all(question.as_bytes())?;
        read_line(unseen.terminal)
    };
    (&terminal).write_all(b"\n")?;
    let typed = typed?;
    let text = std::str::from_utf8(&typed).context("what was typed is no UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_line(mut keys: impl Read) -> Result<Zeroizing<Vec<u8>>> {
    // Reserved in full: growing would leave copies behind.
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX_TYPED));
    loop {
        let mut key = [0];
        if keys.read(&mut key)? == 0 {
            bail!("the terminal has gone");
        }
        match key[0] {
            b'\n' | b'\r' => return Ok(typed),
            INTERRUPT => bail!("interrupted"),
            END if typed.is_empty() => bail!("nothing was typed"),
            ERASE_ALL => typed.clear(),
            key if ERASE.contains(&key) => erase(&mut typed),
            _ if typed.len() == MAX_TYPED => bail!("that is longer than {MAX_TYPED} bytes"),
            key => typed.push(key),
        }
    }
}

/// Takes off the last letter, with all of its bytes.
fn erase(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_as_on_any_terminal() {
        let read = |keys: &str| read_line(keys.as_bytes()).map(|typed| typed.to_vec());
        assert_eq!(read("secret\nmore").expect("a line"), b"secret");
        assert_eq!(read("ab小\u{7f}c\r").expect("a line"), b"abc");
        assert_eq!(read("wrong\u{15}right\n").expect("a line"), b"right");
        assert!(
            read("abc\u{3}")
                .expect_err("Ctrl-C")
                .to_string()
                .contains("interrupted")
        );
        assert!(read("abc").is_err());
        assert!(read(&"x".repeat(2000)).is_err());
    }
}

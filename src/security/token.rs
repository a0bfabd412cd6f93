//! Bearer tokens: one, that a client shows, and those that a server knows. It knows nothing of
//! calls.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use openssl::sha::sha256;
use subtle::{Choice, ConstantTimeEq};

use super::files::{Content, FileError, FileRole, Source};
use super::reload::{Kept, Look};

/// A secret that a client shows with each call (RFC 6750). It prints as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a text is no [`Token`]. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is nothing.
    #[error("a token cannot be empty")]
    Empty,
    /// It could not be sent as a header.
    #[error("a token has letters, digits and punctuation only, and no spaces")]
    NotPrintable,
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Token, TokenError> {
        match text {
            "" => Err(TokenError::Empty),
            text if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Token(text.into())),
            _ => Err(TokenError::NotPrintable),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The first token of a file: one a line; empty lines and those that begin with `#` are none.
    /// Blocks while the file is read.
    ///
    /// # Errors
    /// When it cannot be read, has no token, or a line that is none.
    pub fn from_file(path: &Path) -> Result<Token, FileError> {
        let file = Source::new(FileRole::Tokens, path).read()?;
        tokens(&file).map(|mut all| all.swap_remove(0))
    }

    /// The value of the header `authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

/// At least one.
fn tokens(file: &Content) -> Result<Vec<Token>, FileError> {
    let text = std::str::from_utf8(&file.bytes)
        .map_err(|_| file.source.error("it is no text file (UTF-8)"))?;
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let token = line.parse().map_err(|error| {
            let number = number + 1;
            file.source.error(format!("line {number}: {error}"))
        })?;
        tokens.push(token);
    }
    if tokens.is_empty() {
        return Err(file.source.error("there is no token in it; one a line"));
    }
    Ok(tokens)
}

/// The tokens of a file, read again when it changes.
#[derive(Clone)]
pub(crate) struct TokenSet(Arc<Kept<Vec<Hash>>>);

/// Of equal length, whatever the token; and the tokens themselves are not kept.
type Hash = [u8; 32];

impl TokenSet {
    /// Reads the file, which blocks.
    ///
    /// # Errors
    /// When it cannot be read, has no token, or a line that is none.
    pub(crate) fn load(path: &Path) -> Result<TokenSet, FileError> {
        let source = Source::new(FileRole::Tokens, path);
        let kept = Kept::load(vec![source], |contents| {
            let mut hashes = Vec::new();
            for file in &contents {
                hashes.extend(tokens(file)?.iter().map(|token| hash(token.0.as_bytes())));
            }
            Ok(hashes)
        })?;
        Ok(TokenSet(kept))
    }

    /// Takes equally long for each token, so that nobody can find one out by trying.
    pub(crate) fn contains(&self, token: &[u8]) -> bool {
        let token = hash(token);
        let all = self.0.value();
        let none = Choice::from(0);
        let found = all
            .iter()
            .fold(none, |found, one| found | one.ct_eq(&token));
        found.into()
    }

    /// For the thread that looks at the file.
    pub(crate) fn watched(&self) -> Arc<dyn Look> {
        self.0.clone()
    }
}

fn hash(token: &[u8]) -> Hash {
    sha256(token)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn one_a_line_with_comments() {
        let file = file("# mine\n\n  first \r\nsecond\n");
        let set = TokenSet::load(file.path()).unwrap();
        assert!(set.contains(b"first") && set.contains(b"second"));
        for other in ["", "firs", "first ", "third", "# mine"] {
            assert!(!set.contains(other.as_bytes()), "{other}");
        }
        let first = Token::from_file(file.path()).unwrap();
        assert_eq!(first.authorization(), "Bearer first");
    }

    #[test]
    fn what_is_wrong_is_named_and_not_repeated() {
        let error = |text| Token::from_file(file(text).path()).unwrap_err().to_string();
        assert!(error("# none\n").contains("no token"));
        let spaces = error("good\nse cret\n");
        assert!(spaces.contains("line 2: ") && !spaces.contains("cret"));
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let token: Token = "secret".parse().unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }
}

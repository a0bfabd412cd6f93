//! Bearer tokens: the token of a client, and the set of tokens that a server accepts. Here tokens
//! are compared. It must not know calls.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use openssl::memcmp;
use openssl::sha::sha256;

use super::files::{Content, FileError, FileRole, Source};
use super::reload::{Contents, Reloadable};
use super::watch::Group;

/// A secret that a client sends with each call (RFC 6750). `Debug` omits it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text is not a [`Token`]. The error does not contain the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The text is empty.
    #[error("a token cannot be empty")]
    Empty,
    /// The text has spaces or other characters that a token cannot have.
    #[error("a token can only have ASCII letters, digits and punctuation, and no spaces")]
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
    /// Reads the first token of a file. Each line is a token, except empty lines and lines that
    /// begin with `#`. Blocks while the file is read.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read, has no token, or has a malformed line.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Token, FileError> {
        let file = Source::new(FileRole::Tokens, path).read()?;
        at_least_one(&file).map(|mut all| all.swap_remove(0))
    }

    /// Returns the value of the header `authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

fn at_least_one(file: &Content) -> Result<Vec<Token>, FileError> {
    match tokens(file)? {
        none if none.is_empty() => Err(file.source.error("it has no token; write one per line")),
        tokens => Ok(tokens),
    }
}

fn tokens(file: &Content) -> Result<Vec<Token>, FileError> {
    let text = std::str::from_utf8(&file.bytes)
        .map_err(|_| file.source.error("it is not a UTF-8 text file"))?;
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
    Ok(tokens)
}

/// The tokens of a file, reloaded when it changes. At the start, the file must have a token. Later,
/// an empty or deleted file revokes all tokens. A malformed or unreadable file is logged and
/// ignored, so that a typing mistake does not lock out clients.
#[derive(Clone)]
pub(crate) struct TokenSet(Arc<Reloadable<Vec<Hash>>>);

/// The server stores hashes only. All have the same length, independent of the token's.
type Hash = [u8; 32];

impl TokenSet {
    /// Reads the file. Blocks while it is read.
    ///
    /// # Errors
    /// If the file cannot be read, has no token, or has a malformed line.
    pub(crate) fn load(path: &Path) -> Result<TokenSet, FileError> {
        let source = Source::new(FileRole::Tokens, path);
        let first = |files: Vec<Content>| hashes(&files, at_least_one);
        Ok(TokenSet(Reloadable::load(vec![source], first, reload)?))
    }

    /// Compares in constant time: how long it takes does not depend on the known tokens' contents.
    pub(crate) fn contains(&self, token: &[u8]) -> bool {
        let token = hash(token);
        let all = self.0.value();
        // `|` and not `||`: every hash is compared.
        all.iter()
            .fold(false, |found, one| found | memcmp::eq(one, &token))
    }

    /// Returns the file, for a [`Watcher`](super::Watcher).
    pub(crate) fn watched(&self) -> Vec<Arc<dyn Group>> {
        vec![self.0.clone()]
    }
}

fn reload(contents: Contents) -> Result<Vec<Hash>, FileError> {
    let (tokens, why) = match contents {
        Ok(files) => (hashes(&files, tokens)?, "the token file is empty".into()),
        Err(file) if file.missing => (Vec::new(), file.error.to_string()),
        Err(file) => return Err(file.error),
    };
    if tokens.is_empty() {
        tracing::warn!("{why}: no token is valid now, and every call is refused");
    }
    Ok(tokens)
}

fn hashes(
    files: &[Content],
    tokens: fn(&Content) -> Result<Vec<Token>, FileError>,
) -> Result<Vec<Hash>, FileError> {
    let mut hashes = Vec::new();
    for file in files {
        hashes.extend(tokens(file)?.iter().map(|token| hash(token.0.as_bytes())));
    }
    Ok(hashes)
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
    fn one_token_per_line_with_comments() {
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
    fn errors_name_the_line_but_not_the_token() {
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

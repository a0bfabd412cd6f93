//! Bearer tokens: the one that a client sends, and the set that a server accepts. It must not know
//! calls.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use openssl::memcmp;
use openssl::sha::sha256;

use super::files::{Content, FileError, FileRole, Source};
use super::reload::{Contents, Poll, Reloadable};

/// A secret that a client sends with each call (RFC 6750). It is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A text is not a [`Token`]. The error does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is empty.
    #[error("a token cannot be empty")]
    Empty,
    /// The text cannot be sent as a header.
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
    /// The first token of a file. Each line is a token, except empty lines and those that begin with
    /// `#`. Blocks while the file is read.
    ///
    /// # Errors
    /// When the file cannot be read, has no token, or has a malformed line.
    pub fn from_file(path: &Path) -> Result<Token, FileError> {
        let file = Source::new(FileRole::Tokens, path).read()?;
        at_least_one(&file).map(|mut all| all.swap_remove(0))
    }

    /// The value of the header `authorization`.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

fn at_least_one(file: &Content) -> Result<Vec<Token>, FileError> {
    match tokens(file)? {
        none if none.is_empty() => Err(file.source.error("there is no token in it; one a line")),
        tokens => Ok(tokens),
    }
}

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
    Ok(tokens)
}

/// The tokens of a file, reloaded when it changes. At the start there must be one. Later a file that
/// is emptied or deleted revokes all tokens; a file with a malformed line, or one that cannot be
/// read, changes nothing: a typing mistake locks nobody out.
#[derive(Clone)]
pub(crate) struct TokenSet(Arc<Reloadable<Vec<Hash>>>);

/// The server keeps hashes only. All have the same length, whatever the token's.
type Hash = [u8; 32];

impl TokenSet {
    /// Reads the file, which blocks.
    ///
    /// # Errors
    /// When the file cannot be read, has no token, or has a malformed line.
    pub(crate) fn load(path: &Path) -> Result<TokenSet, FileError> {
        let source = Source::new(FileRole::Tokens, path);
        let first = |files: Vec<Content>| hashes(&files, at_least_one);
        Ok(TokenSet(Reloadable::load(vec![source], first, reload)?))
    }

    /// Takes equally long for every token, so that its time tells nothing about the known ones.
    pub(crate) fn contains(&self, token: &[u8]) -> bool {
        let token = hash(token);
        let all = self.0.value();
        // `|` and not `||`: every hash is compared.
        all.iter()
            .fold(false, |found, one| found | memcmp::eq(one, &token))
    }

    /// For the thread that polls the file.
    pub(crate) fn watched(&self) -> Arc<dyn Poll> {
        self.0.clone()
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

//! The judgement of a call: compares what its client has seen with what its producer makes. It
//! knows no time and no connection.

use super::client::{End, Seen};

/// What the client of a call must receive.
#[derive(Debug)]
pub struct Expected {
    pub texts: Vec<String>,
    /// The messages arrive in this order. Otherwise they come as they are made.
    pub is_ordered: bool,
    pub end: End,
}

impl Expected {
    /// What is wrong. A call that has not ended may have less than all.
    pub fn violation(&self, seen: &Seen) -> Option<String> {
        if let Some(wrong) = self.wrong_message(&seen.messages) {
            return Some(wrong);
        }
        let end = seen.end.as_ref()?;
        let (received, all) = (seen.messages.len(), self.texts.len());
        if *end != self.end {
            let expected = &self.end;
            return Some(format!(
                "it ends with {end:?} instead of {expected:?}, after {received} of {all} messages"
            ));
        }
        if received < all {
            return Some(format!(
                "it ends after {received} of {all} messages with {end:?}"
            ));
        }
        if !seen.partial.is_empty() {
            return Some("it ends within a message".into());
        }
        None
    }

    /// The bytes of its messages in gRPC's frames, or a few more.
    pub fn bytes(&self) -> usize {
        // The frame has a header of five bytes, the text one of up to three.
        self.texts.iter().map(|text| text.len() + 8).sum()
    }

    fn wrong_message(&self, received: &[String]) -> Option<String> {
        if self.is_ordered {
            let expected = self.texts.iter().map(Some).chain(std::iter::repeat(None));
            let (n, (found, expected)) = received
                .iter()
                .zip(expected)
                .enumerate()
                .find(|(_, (found, expected))| *expected != Some(*found))?;
            return Some(format!("message {n} is {found:?} instead of {expected:?}"));
        }
        let mut sorted: Vec<_> = received.iter().collect();
        sorted.sort();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
        if let Some(pair) = twice {
            return Some(format!("{:?} arrives twice", pair[0]));
        }
        let unknown = received.iter().find(|text| !self.texts.contains(text));
        unknown.map(|text| format!("{text:?} is not a message of this call"))
    }
}

#[cfg(test)]
mod tests {
    use grpcio::RpcStatusCode;

    use super::super::producer::{Producer, Tick};
    use super::*;

    fn is_wrong(expected: &Expected, messages: &[&String], end: Option<End>) -> bool {
        let seen = Seen {
            messages: messages.iter().map(|text| text.to_string()).collect(),
            end,
            ..Seen::default()
        };
        expected.violation(&seen).is_some()
    }

    #[test]
    fn each_fault_is_found() {
        let expected = Producer::Fails { messages: 2 }.expected(1);
        let (first, second) = (&expected.texts[0], &expected.texts[1]);
        let end = || Some(expected.end.clone());
        let ok = Some(End::Status(RpcStatusCode::OK, String::new()));
        assert!(!is_wrong(&expected, &[first, second], end()));
        assert!(!is_wrong(&expected, &[first], None));
        assert!(is_wrong(&expected, &[first], end()));
        assert!(is_wrong(&expected, &[second, first], end()));
        assert!(is_wrong(&expected, &[first, second, second], None));
        assert!(is_wrong(&expected, &[first, second], ok));
        assert!(is_wrong(&expected, &[first, second], Some(End::Reset(7))));
    }

    #[test]
    fn jobs_without_an_order_may_overtake_each_other() {
        let producer = Producer::Ticks {
            messages: 2,
            every_ms: 1,
            how: Tick::Jobs,
        };
        let expected = producer.expected(1);
        let (first, second) = (&expected.texts[0], &expected.texts[1]);
        let end = || Some(expected.end.clone());
        assert!(!is_wrong(&expected, &[second, first], end()));
        assert!(is_wrong(&expected, &[second, second], end()));
        assert!(is_wrong(&expected, &[second], end()));
        assert!(is_wrong(&expected, &[&String::new()], None));
    }
}

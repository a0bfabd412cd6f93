//! A source of numbers whose calls break as a test says.

use std::sync::{Arc, Mutex};

use fanstream::engine::{CallContext, Produced};
use fanstream::proto::stream::{Request, Response};
use fanstream::resume::ResumeKey;
use fanstream::server::Server;
use fanstream::sources::{service, Records, Source};
use fanstream::Status;

use super::{builder, response, COUNT};
use crate::common::process::eventually;

/// Bytes of a place, beside the number.
pub const PADDING: usize = 500;

/// The place of each call: the number that comes first, before any is skipped.
pub type Opened = Arc<Mutex<Vec<Option<i32>>>>;

type Script = Arc<dyn Fn(usize, i32) -> Event + Send + Sync>;

/// What happens instead of the next number.
pub enum Event {
    None,
    Fail(Status),
    /// Nothing, until the call is over.
    Stall,
}

/// The numbers from 0 to the request's id, without it. `script` gets the number of the call, from 0, and
/// the next number.
pub struct Numbers {
    pub opened: Opened,
    pub script: Script,
    /// A status for each call with a place.
    pub refusal: Option<Status>,
}

pub struct NumberRecords {
    call: CallContext,
    number: usize,
    next: i32,
    end: i32,
    script: Script,
}

impl Numbers {
    pub fn new(script: impl Fn(usize, i32) -> Event + Send + Sync + 'static) -> Numbers {
        Numbers {
            opened: Arc::default(),
            script: Arc::new(script),
            refusal: None,
        }
    }

    pub fn serve(self) -> (Server, Opened) {
        let opened = self.opened.clone();
        let service = service(&COUNT, self, key());
        (builder().add_service(service).start().unwrap(), opened)
    }
}

pub fn key() -> ResumeKey {
    ResumeKey::new([7; 32]).unwrap()
}

impl Source for Numbers {
    type Request = Request;
    type Response = Response;
    type Records = NumberRecords;

    fn settings(&self) -> String {
        "numbers".into()
    }

    fn open(
        &self,
        call: &CallContext,
        request: &Request,
        place: Option<&[u8]>,
    ) -> Result<NumberRecords, Status> {
        let place = place.map(|place| i32::from_be_bytes(place[..4].try_into().unwrap()));
        let mut opened = self.opened.lock().unwrap();
        opened.push(place);
        match &self.refusal {
            Some(refusal) if place.is_some() => Err(refusal.clone()),
            _ => Ok(NumberRecords {
                call: call.clone(),
                number: opened.len() - 1,
                next: place.unwrap_or(0),
                end: request.id,
                script: self.script.clone(),
            }),
        }
    }
}

impl Records for NumberRecords {
    fn place(&self) -> Option<Vec<u8>> {
        Some([&self.next.to_be_bytes()[..], &[0; PADDING]].concat())
    }

    fn skip_records(&mut self, count: u64) -> Result<u64, Status> {
        let there = (self.end - self.next) as u64;
        let skipped = count.min(there);
        self.next += skipped as i32;
        Ok(skipped)
    }
}

impl Iterator for NumberRecords {
    type Item = Produced<Response>;

    fn next(&mut self) -> Option<Produced<Response>> {
        match (self.script)(self.number, self.next) {
            Event::None if self.next == self.end => None,
            Event::None => {
                self.next += 1;
                Some(Ok(response(self.next - 1)))
            }
            Event::Fail(status) => Some(Err(status)),
            Event::Stall => {
                eventually(|| self.call.is_over().then_some(()));
                None
            }
        }
    }
}

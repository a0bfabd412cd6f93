//! The service, with messages of prost: follows and counts log files, and queries a table.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{iter, mem};

use fanstream::engine::{CallContext, Job, Next, Produced};
use fanstream::server::Service;
use fanstream::{BoxError, Status};
use rusqlite::{Connection, OpenFlags};

use crate::by_prost::logs::v1::*;

/// Rows of one query. Between two of them, the table is not locked.
const PAGE: i64 = 100;

pub fn service(directory: PathBuf, table: PathBuf) -> Service {
    let counted = directory.clone();
    Service::new()
        .server_streaming(&METHOD_LOGS_TAIL, move |call, request| {
            tail(call.clone(), &directory, request)
        })
        .unary(&METHOD_LOGS_COUNT, move |_call, request: CountRequest| {
            let mut lines = open(&counted, &request.file)?.lines();
            let lines = lines.try_fold(0, |n, line| line.map(|_| n + 1))?;
            Ok(CountResponse { lines })
        })
        .server_streaming(&METHOD_LOGS_QUERY, move |_call, request| {
            let table = Connection::open_with_flags(&table, OpenFlags::SQLITE_OPEN_READ_ONLY);
            Ok(events(table.map_err(BoxError::from)?, request))
        })
}

fn open(directory: &Path, file: &str) -> Result<BufReader<File>, Status> {
    if file.starts_with('.') || file.contains(['/', '\0']) {
        return Err(Status::invalid_argument("file: a name has no slash"));
    }
    Ok(BufReader::new(File::open(directory.join(file))?))
}

fn tail(call: CallContext, directory: &Path, request: TailRequest) -> Result<Job<Line>, Status> {
    let mut file = open(directory, &request.file)?;
    call.set_subject(request.file);
    let (mut number, mut text) = (0, String::new());
    Ok(Job::poll(move |_waker| loop {
        file.read_line(&mut text)?;
        if text.ends_with('\n') {
            number += 1;
            let text = mem::take(&mut text).trim_end().to_owned();
            if number > request.after {
                return Ok(Next::Message(Line { number, text }));
            }
        } else if request.follow && !call.is_draining() {
            return Ok(Next::Later(Duration::from_millis(100)));
        } else {
            return Ok(Next::End);
        }
    }))
}

fn events(table: Connection, request: QueryRequest) -> impl Iterator<Item = Produced<Event>> {
    let mut after = request.after;
    let mut page = Vec::new().into_iter();
    iter::from_fn(move || {
        if page.len() == 0 {
            match read_page(&table, &request.level, after) {
                Ok(events) => page = events.into_iter(),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let event: Event = page.next()?;
        after = event.number;
        Some(Ok(event))
    })
}

fn read_page(table: &Connection, level: &str, after: i64) -> Result<Vec<Event>, BoxError> {
    let sql = "SELECT * FROM events WHERE level = ? AND number > ? ORDER BY number LIMIT ?";
    let mut query = table.prepare(sql)?;
    let events = query.query_map((level, after, PAGE), |row| {
        let (number, text) = (row.get("number")?, row.get("text")?);
        Ok(Event { number, text })
    })?;
    Ok(events.collect::<Result<_, _>>()?)
}

//! The paths of a batch, put aside until they are counted.

use std::fmt;

use jiff::Timestamp;

use crate::detect::request::Request;
use crate::ident::{DynoName, DynoRef};
use crate::limits;

/// Requests with their paths. Nothing else has a path, and this is dropped once it is counted.
#[derive(Default)]
pub struct Paths {
    /// The texts, one behind the other: method and path.
    text: Vec<u8>,
    requests: Vec<PathRequest>,
}

struct PathRequest {
    dyno: DynoName,
    at: Timestamp,
    status: Option<u16>,
    method_bytes: u8,
    path_bytes: u16,
}

// Paths never reach a log.
impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

impl Paths {
    /// Adds a request, at the time in its line.
    pub fn add(&mut self, dyno: &DynoName, request: &Request<'_>, at: Timestamp) {
        let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let method = &method[..method.len().min(METHOD_BYTES_MAX)];
        let path = &path[..path.len().min(limits::EVIDENCE_PATH_BYTES_MAX)];
        // The query is not even put aside.
        let path = memchr::memchr(b'?', path).map_or(path, |end| &path[..end]);
        self.text.extend_from_slice(method);
        self.text.extend_from_slice(path);
        self.requests.push(PathRequest {
            dyno: dyno.clone(),
            at,
            status: request.status,
            method_bytes: method.len() as u8,
            path_bytes: path.len() as u16,
        });
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.requests.len() * size_of::<PathRequest>()
    }

    /// The requests, each with its dyno and its time.
    pub fn iter(&self) -> impl Iterator<Item = (&DynoName, Request<'_>, Timestamp)> {
        let mut text = &*self.text;
        self.requests.iter().map(move |of| {
            let (method, rest) = text.split_at(of.method_bytes.into());
            let (path, rest) = rest.split_at(of.path_bytes.into());
            text = rest;
            let dyno = DynoRef { process_type: of.dyno.process_type().as_str(), index: of.dyno.index() };
            let request = Request {
                dyno,
                method: Some(method),
                path: Some(path),
                status: of.status,
                service_ms: None,
                code: None,
            };
            (&of.dyno, request, of.at)
        })
    }
}

/// The longest method that is told apart has seven letters.
const METHOD_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Paths;
    use crate::detect::request::Request;
    use crate::ident::{DynoName, DynoRef};
    use crate::limits;

    #[test]
    fn requests_come_back_without_their_queries() {
        let web: DynoName = "web.7".parse().expect("a dyno");
        let long = format!("/{}", "x".repeat(8192));
        let mut paths = Paths::default();
        let dyno = DynoRef { process_type: "web", index: 7 };
        for (method, path) in
            [("GET", "/a?secret=1"), ("", ""), ("POST", "/b/c"), ("BREWBREWBREWBREWBREW", &long)]
        {
            let (method, path) = (Some(method.as_bytes()), Some(path.as_bytes()));
            let request = Request { dyno, method, path, status: Some(201), service_ms: Some(9), code: None };
            paths.add(&web, &request, Timestamp::UNIX_EPOCH);
        }
        let read: Vec<(&[u8], usize)> = paths
            .iter()
            .map(|(_, request, _)| (request.method.expect("a method"), request.path.expect("a path").len()))
            .collect();
        let most = limits::EVIDENCE_PATH_BYTES_MAX;
        assert_eq!(read, [(&b"GET"[..], 2), (b"", 0), (b"POST", 4), (b"BREWBREWBREWBREW", most)]);
        assert!(paths.iter().all(|(dyno, request, _)| *dyno == web && request.status == Some(201)));
        assert_eq!((paths.len(), paths.is_empty(), Paths::default().is_empty()), (4, false, true));
        assert!(paths.bytes() > most && paths.bytes() < most + 500, "{}", paths.bytes());
        assert!(!format!("{paths:?}").contains("secret"));
    }
}

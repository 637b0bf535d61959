//! The paths of a batch, put aside until they are counted.

use std::fmt;

use jiff::Timestamp;

use crate::days::evidence::counts::Asked;
use crate::days::evidence::method::Method;
use crate::detect::request::Request;
use crate::ident::DynoName;

/// Requests with their paths. Nothing else has a path, and this is dropped once it is counted.
#[derive(Default)]
pub struct Paths {
    /// The paths, one behind the other.
    text: Vec<u8>,
    requests: Vec<PathRequest>,
    /// The dynos of the batch that have requests, by their number in it.
    dynos: Vec<Option<DynoName>>,
}

struct PathRequest {
    at: Timestamp,
    /// Its number in the batch.
    dyno: u32,
    path_bytes: u16,
    method: Method,
    is_known: bool,
}

// Paths never reach a log.
impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

impl Paths {
    /// Space for about so many requests.
    pub fn reserve(&mut self, requests: usize) {
        self.requests.reserve(requests);
        self.text.reserve(requests * PATH_BYTES);
    }

    /// Adds a request of a dyno with this number in its batch, at the time in its line.
    pub fn add(&mut self, (number, dyno): (u32, &DynoName), request: &Request<'_>, at: Timestamp) {
        // The query is not even put aside.
        let Asked { method, path, is_known } = Asked::of(request);
        self.text.extend_from_slice(path);
        self.requests.push(PathRequest { at, dyno: number, path_bytes: path.len() as u16, method, is_known });
        let place = number as usize;
        if self.dynos.len() <= place {
            self.dynos.resize(place + 1, None);
        }
        if self.dynos[place].is_none() {
            self.dynos[place] = Some(dyno.clone());
        }
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.text.len()
            + self.requests.len() * size_of::<PathRequest>()
            + self.dynos.len() * size_of::<Option<DynoName>>()
    }

    /// The requests, each with its dyno and its time.
    pub fn iter(&self) -> impl Iterator<Item = (&DynoName, Asked<'_>, Timestamp)> {
        let mut text = &*self.text;
        self.requests.iter().filter_map(move |of| {
            let PathRequest { at, dyno, path_bytes, method, is_known } = *of;
            let (path, rest) = text.split_at(path_bytes.into());
            text = rest;
            let name = self.dynos.get(dyno as usize)?.as_ref()?;
            Some((name, Asked { method, path, is_known }, at))
        })
    }
}

/// Most paths are shorter.
const PATH_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::Paths;
    use crate::days::evidence::method::Method;
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
            paths.add((3, &web), &request, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(paths.dynos.len(), 4);
        let read: Vec<(Method, usize)> =
            paths.iter().map(|(_, asked, _)| (asked.method, asked.path.len())).collect();
        let most = limits::EVIDENCE_PATH_BYTES_MAX;
        assert_eq!(read, [(Method::Get, 2), (Method::Other, 0), (Method::Post, 4), (Method::Other, most)]);
        assert!(paths.iter().all(|(dyno, asked, _)| *dyno == web && asked.is_known));
        assert!(!format!("{:?}", paths.iter().next()).contains("/a"));
        assert_eq!((paths.len(), paths.is_empty(), Paths::default().is_empty()), (4, false, true));
        assert!(paths.bytes() > most && paths.bytes() < most + 500, "{}", paths.bytes());
        assert!(!format!("{paths:?}").contains("secret"));
    }
}

//! The endpoints of one app, learned from its requests: paths whose varying segments are words like `:id`.
//!
//! A tree of segments, from the root. Varying text goes by its shape. A word gets a place of its own once it
//! surely has enough requests; until then it is one of many, and only a hash of it is kept. So names that
//! strangers try, and people's names, take no place, and nothing that was seen a few times is ever shown.

use crate::days::evidence::candidates::Candidates;
use crate::days::evidence::segments::{self, Segment as Text};
use crate::days::evidence::shape::Shape;
use crate::days::evidence::words::{Word, Words};
use crate::limits;

/// A place in the tree. It stays valid until [`Templates::age`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(u16);

#[derive(Clone, Debug)]
pub struct Templates {
    /// The root comes first. A free place has no parent.
    nodes: Vec<Node>,
    words: Words,
}

#[derive(Clone, Debug)]
struct Node {
    parent: Option<u16>,
    segment: Segment,
    children: u16,
    /// Requests to it and below it.
    requests: u32,
    /// Those whose next segment is a word.
    worded: u32,
    /// Those among them whose word has a place of its own.
    named: u32,
    /// The places of varying segments, by their shape.
    varying: [Varying; Shape::VARYING.len()],
    candidates: Candidates,
}

/// Segments of one shape below a node.
#[derive(Clone, Copy, Debug, Default)]
struct Varying {
    /// Their place; 0 if they have none yet.
    place: u16,
    /// Requests until then.
    requests: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Root,
    Word(Word),
    Varying(Shape),
}

impl Default for Templates {
    fn default() -> Self {
        Self { nodes: vec![Node::new(None, Segment::Root)], words: Words::default() }
    }
}

// === impl Place ===

impl Place {
    /// Below [`limits::TEMPLATE_NODES_MAX`].
    pub fn index(self) -> usize {
        self.0.into()
    }
}

// === impl Templates ===

impl Templates {
    /// The place of a request, which it learns from. The words of a path that the app does not know
    /// (`is_known` is false) get no places.
    pub fn place(&mut self, path: &[u8], is_known: bool) -> Place {
        self.place_without_query(segments::without_query(path), is_known)
    }

    /// Does the same for a path that has no query.
    pub(super) fn place_without_query(&mut self, path: &[u8], is_known: bool) -> Place {
        let mut at = 0;
        let mut segments = segments::of_bare(path);
        let mut depth = 0;
        self.nodes[0].requests = self.nodes[0].requests.saturating_add(1);
        while let Some(segment) = segments.next() {
            depth += 1;
            let is_rest = depth == limits::TEMPLATE_DEPTH_MAX && segments.has_more();
            let child = match is_rest {
                true => self.varying(at, Shape::Rest, is_known),
                false => self.step(at, &segment, is_known),
            };
            // Too rare, or a full tree: the request counts for the part that is known.
            let Some(child) = child else { break };
            at = child;
            self.nodes[usize::from(at)].requests = self.nodes[usize::from(at)].requests.saturating_add(1);
            if is_rest {
                break;
            }
        }
        Place(at)
    }

    /// The template of a place, such as `/orders/:id/items`.
    pub fn template(&self, place: Place) -> String {
        let mut segments = Vec::new();
        let mut at = place.0;
        while let Some(node) = self.nodes.get(usize::from(at)) {
            match &node.segment {
                Segment::Root => break,
                Segment::Word(word) => {
                    segments.push(str::from_utf8(&word.text).unwrap_or(Shape::Name.word()));
                }
                Segment::Varying(shape) => segments.push(shape.word()),
            }
            let Some(parent) = node.parent else { break };
            at = parent;
        }
        let mut template = String::new();
        for segment in segments.iter().rev() {
            template.push('/');
            template.push_str(segment);
        }
        if template.is_empty() { "/".to_owned() } else { template }
    }

    /// Gives a template from an earlier process its place, if there is room and it is one.
    pub fn learn(&mut self, template: &str) {
        if !is_template(template) {
            return;
        }
        let mut at = 0;
        for segment in segments::segments(template.as_bytes()) {
            let shape = str::from_utf8(segment.text).ok().and_then(Shape::of_word);
            let child = match shape {
                Some(shape) => self.varying_place(at, shape),
                None => self.word(at, &segment).or_else(|| self.add_word(at, &segment)),
            };
            let Some(child) = child else { return };
            at = child;
            let node = &mut self.nodes[usize::from(at)];
            node.requests = node.requests.max(limits::TEMPLATE_WORD_REQUESTS_MIN);
        }
    }

    /// Forgets half of what was counted, and the least used endpoints where room is short. A place from
    /// before may be gone.
    pub fn age(&mut self) {
        for node in &mut self.nodes {
            node.requests /= 2;
            node.worded /= 2;
            node.named /= 2;
            node.varying.iter_mut().for_each(|varying| varying.requests /= 2);
            node.candidates.age();
        }
        let mut live = self.live();
        while live > limits::TEMPLATE_NODES_MAX - limits::TEMPLATE_NODES_SPARE {
            let leaves = self.nodes.iter().enumerate().filter(|(_, node)| node.is_leaf());
            let Some(least) = leaves.min_by_key(|(_, node)| node.requests).map(|(place, _)| place) else {
                break;
            };
            self.remove(least as u16);
            live -= 1;
        }
        // Nothing is removed from the table itself, which would cut a search short.
        self.words = Words::default();
        for (place, node) in (0..).zip(&self.nodes) {
            if let (Segment::Word(word), Some(parent)) = (&node.segment, node.parent) {
                self.words.insert(parent, word.hash, place);
            }
        }
    }

    /// Whether a place is still taken.
    pub fn is_live(&self, place: Place) -> bool {
        place.0 == 0 || self.nodes.get(usize::from(place.0)).is_some_and(|node| node.parent.is_some())
    }

    /// Places that are taken, the root among them.
    pub fn live(&self) -> usize {
        1 + self.nodes.iter().filter(|node| node.parent.is_some()).count()
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let own = |node: &Node| {
            let word = if let Segment::Word(word) = &node.segment { word.text.len() } else { 0 };
            size_of::<Node>() + word + node.candidates.bytes()
        };
        self.nodes.iter().map(own).sum::<usize>() + Words::bytes()
    }

    /// The next place; none if there is no room for it.
    fn step(&mut self, at: u16, segment: &Text<'_>, is_known: bool) -> Option<u16> {
        if segment.may_be_word()
            && let Some(child) = self.word(at, segment)
        {
            let node = &mut self.nodes[usize::from(at)];
            node.worded = node.worded.saturating_add(1);
            node.named = node.named.saturating_add(1);
            return Some(child);
        }
        let shape = segment.shape();
        if shape != Shape::Word {
            return self.varying(at, shape, is_known);
        }
        let of_app = self.nodes[0].requests;
        let node = &mut self.nodes[usize::from(at)];
        node.worded = node.worded.saturating_add(1);
        if is_known
            && node.offer(segment.hash, of_app)
            && let Some(child) = self.add_word(at, segment)
        {
            return Some(child);
        }
        self.varying(at, Shape::Name, is_known)
    }

    #[inline(always)]
    fn word(&self, at: u16, word: &Text<'_>) -> Option<u16> {
        self.words.search(at, word.hash).find(|child| {
            let node = &self.nodes[usize::from(*child)];
            matches!(&node.segment, Segment::Word(known) if known.is(word)) && node.parent == Some(at)
        })
    }

    /// The place of a varying segment, which it gets after a few requests.
    fn varying(&mut self, at: u16, shape: Shape, is_known: bool) -> Option<u16> {
        let kind = shape.varying()?;
        let node = &mut self.nodes[usize::from(at)];
        let Varying { place, requests } = &mut node.varying[kind];
        if *place != 0 {
            return Some(*place);
        }
        *requests = requests.saturating_add(u16::from(is_known));
        let needed =
            (node.requests / limits::TEMPLATE_VARYING_SHARE).max(limits::TEMPLATE_VARYING_REQUESTS_MIN);
        if u32::from(*requests) < needed {
            return None;
        }
        self.varying_place(at, shape)
    }

    fn varying_place(&mut self, at: u16, shape: Shape) -> Option<u16> {
        let kind = shape.varying()?;
        if self.nodes[usize::from(at)].varying[kind].place == 0 {
            let place = self.add(at, Segment::Varying(shape))?;
            self.nodes[usize::from(at)].varying[kind] = Varying { place, requests: 0 };
        }
        Some(self.nodes[usize::from(at)].varying[kind].place)
    }

    fn add_word(&mut self, at: u16, word: &Text<'_>) -> Option<u16> {
        let hash = word.hash;
        // Another word has the same hash.
        let is_taken = |child: u16| {
            let node = &self.nodes[usize::from(child)];
            matches!(&node.segment, Segment::Word(known) if known.hash == hash) && node.parent == Some(at)
        };
        if self.words.search(at, hash).any(is_taken) {
            return None;
        }
        let child = self.add(at, Segment::Word(Word::new(word)))?;
        self.words.insert(at, hash, child);
        Some(child)
    }

    fn add(&mut self, at: u16, segment: Segment) -> Option<u16> {
        let free = self.nodes.iter().skip(1).position(|node| node.parent.is_none()).map(|place| place + 1);
        let node = Node::new(Some(at), segment);
        let child = match free {
            Some(place) => {
                self.nodes[place] = node;
                place as u16
            }
            None if self.nodes.len() < limits::TEMPLATE_NODES_MAX => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u16
            }
            None => return None,
        };
        self.nodes[usize::from(at)].children += 1;
        Some(child)
    }

    /// Frees a leaf.
    fn remove(&mut self, place: u16) {
        let node = std::mem::replace(&mut self.nodes[usize::from(place)], Node::new(None, Segment::Root));
        let Some(parent) = node.parent else { return };
        let parent = &mut self.nodes[usize::from(parent)];
        parent.children -= 1;
        parent
            .varying
            .iter_mut()
            .filter(|varying| varying.place == place)
            .for_each(|varying| varying.place = 0);
    }
}

/// Whether a text is a template: only words and `:name` words, and no more of them than there can be.
pub fn is_template(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    if rest.is_empty() {
        return true;
    }
    let mut count = 0;
    rest.split('/').all(|segment| {
        count += 1;
        let is_known = Shape::of_word(segment).is_some() || Shape::of(segment.as_bytes()) == Shape::Word;
        count <= limits::TEMPLATE_DEPTH_MAX && !segment.is_empty() && is_known
    })
}

// === impl Node ===

impl Node {
    fn new(parent: Option<u16>, segment: Segment) -> Self {
        Self {
            parent,
            segment,
            children: 0,
            requests: 0,
            worded: 0,
            named: 0,
            varying: [Varying::default(); Shape::VARYING.len()],
            candidates: Candidates::default(),
        }
    }

    fn is_leaf(&self) -> bool {
        self.parent.is_some() && self.children == 0
    }

    /// Counts a word without a place, among the requests of the app; whether it may have one now.
    fn offer(&mut self, hash: u32, of_app: u32) -> bool {
        let room = match self.parent {
            Some(_) => limits::TEMPLATE_CANDIDATES_MAX,
            None => limits::TEMPLATE_ROOT_CANDIDATES_MAX,
        };
        let Some((place, surely)) = self.candidates.count(hash, room) else { return false };
        // Where most words have no place, they are names rather than routes, and a frequent one is a busy
        // user.
        let is_varied = u64::from(self.named) * 2 < u64::from(self.worded);
        let share = if is_varied { limits::TEMPLATE_VARIED_SHARE } else { limits::TEMPLATE_WORD_SHARE };
        let of_app = of_app / limits::TEMPLATE_APP_SHARE;
        let needed = (self.worded / share).max(of_app).max(limits::TEMPLATE_WORD_REQUESTS_MIN);
        let is_sure = surely >= needed;
        if is_sure {
            self.candidates.remove(place);
        }
        is_sure
    }
}

#[cfg(test)]
mod tests {
    use super::{Templates, is_template};
    use crate::limits;

    fn learned(paths: &[&str]) -> Templates {
        let mut templates = Templates::default();
        for _ in 0..200 {
            paths.iter().for_each(|path| {
                templates.place(path.as_bytes(), true);
            });
        }
        templates
    }

    #[track_caller]
    fn check(templates: &mut Templates, path: &str, expect: &str) {
        let place = templates.place(path.as_bytes(), true);
        assert_eq!(templates.template(place), expect, "{path}");
    }

    #[test]
    fn varying_segments_are_words() {
        let mut templates = learned(&[
            "/orders/8812/items",
            "/orders/0f8fad5b-d9cb-469f-a165-70867728950e",
            "/api/v2/reports/2026-01-02?token=secret",
            "/files/59da632359da6323",
            "/assets/app-59da6323.js",
            "/@alice/followers",
            "/blog/how-to-find-a-leak",
            "/caf%C3%A9/名前",
            "/a/b/c/d/e/f/g",
            "/",
        ]);
        for (path, expect) in [
            ("/orders/77/items", "/orders/:id/items"),
            ("/orders//77/items/", "/orders/:id/items"),
            ("/orders/1b4e28ba-2fa1-11d2-883f-0016d3cca427", "/orders/:uuid"),
            ("/api/v2/reports/2026-02-03?token=other#part", "/api/v2/reports/:date"),
            ("/files/507f1f77bcf86cd799439011", "/files/:hex"),
            ("/assets/main-8f14e45f.css", "/assets/:file"),
            ("/@bob/followers", "/:name/followers"),
            ("/blog/ten-words-that-make-a-title", "/blog/:slug"),
            ("/na%C3%AFve/über", "/:name/:name"),
            ("/a/b/c/d/e/f/h", "/a/b/c/d/e/:rest"),
            ("/?q=secret", "/"),
            ("", "/"),
            ("//", "/"),
        ] {
            check(&mut templates, path, expect);
        }
    }

    #[test]
    fn a_word_is_shown_once_it_surely_has_enough_requests() {
        let mut templates = Templates::default();
        for _ in 0..limits::TEMPLATE_WORD_REQUESTS_MIN - 1 {
            let place = templates.place(b"/swordfish", true);
            assert!(!templates.template(place).contains("swordfish"));
        }
        check(&mut templates, "/swordfish", "/swordfish");
        // One that the app does not know has no place however often it is tried.
        let mut templates = Templates::default();
        for _ in 0..1000 {
            let place = templates.place(b"/wp-login.php", false);
            assert_eq!(templates.template(place), "/");
        }
    }

    #[test]
    fn names_of_people_get_no_place_among_many() {
        let names =
            ["alice", "bobby", "carol", "david", "emily", "frank", "grace", "helen", "isaac", "julia"];
        let mut templates = Templates::default();
        let mut draw: u32 = 1;
        for _ in 0..50_000 {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Three names have more than a per cent each, and the others are seen a few times.
            let path = match draw >> 16 & 0xff {
                number @ 0..=9 => format!("/users/{}", names[number as usize / 3]),
                _ => {
                    let letter = |shift: u32| char::from(b"aeioubdlmnrst"[(draw >> shift) as usize % 13]);
                    format!("/users/{}{}{}{}{}", letter(3), letter(7), letter(11), letter(15), letter(19))
                }
            };
            templates.place(path.as_bytes(), true);
        }
        assert!(is_template("/") && is_template("/a/:id") && !is_template("/a/1") && !is_template(""));
        for name in names {
            check(&mut templates, &format!("/users/{name}"), "/users/:name");
        }
    }

    #[test]
    fn a_million_paths_take_bounded_memory() {
        let mut templates = Templates::default();
        let mut draw: u64 = 7;
        for round in 0..1_000_000_u32 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let letters = |count: u32| -> String {
                let letter = |place| char::from(b'a' + ((draw >> (place % 50)) % 26) as u8);
                (0..count).map(letter).collect()
            };
            let path = match draw >> 60 {
                0..=5 => format!("/{}/{}/{}", letters(4), letters(6), draw % 1000),
                6..=9 => format!("/x{}/{}", draw % 50, letters(3)),
                10 => format!("/{}", letters(8).repeat(1000)),
                11 => format!("/{}/{:x}/{}", letters(2), draw, letters(5)),
                _ => format!("/a/{}/{}/b/{}", draw % 40, letters(1), letters(2)),
            };
            templates.place(path.as_bytes(), true);
            if round % 50_000 == 0 {
                templates.age();
            }
            assert!(templates.live() <= limits::TEMPLATE_NODES_MAX);
        }
        eprintln!("{} bytes", templates.bytes());
        assert!(templates.bytes() <= 100 * 1024, "{}", templates.bytes());
    }

    #[test]
    fn a_full_tree_still_learns_after_ageing() {
        let mut templates = Templates::default();
        for number in 0..400 {
            let path = format!("/{}/{}", word(number), word(number / 7));
            (0..25).for_each(|_| {
                templates.place(path.as_bytes(), true);
            });
        }
        for _ in 0..4 {
            templates.age();
        }
        assert!(templates.live() <= limits::TEMPLATE_NODES_MAX - limits::TEMPLATE_NODES_SPARE);
        for _ in 0..2000 {
            templates.place(b"/orders/1/import", true);
        }
        check(&mut templates, "/orders/2/import", "/orders/:id/import");
    }

    /// A word of its own for each number.
    fn word(number: u32) -> String {
        let letters = [
            b"bdfgklmnprst"[number as usize % 12],
            b'a',
            b"bdfgklmnprst"[number as usize / 12 % 12],
            b'e',
            b"lmnr"[number as usize / 144 % 4],
        ];
        letters.map(char::from).iter().collect()
    }

    #[test]
    fn templates_of_an_earlier_process_have_their_places_at_once() {
        let mut templates = Templates::default();
        templates.learn("/orders/:id/import");
        templates.learn("/reset/s3cr3tT0k3n");
        templates.learn("no template");
        check(&mut templates, "/orders/5/import", "/orders/:id/import");
        check(&mut templates, "/reset/s3cr3tT0k3n", "/");
        templates.age();
        check(&mut templates, "/orders/6/import", "/orders/:id/import");
    }
}

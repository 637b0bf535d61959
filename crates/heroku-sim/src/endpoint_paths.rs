//! The paths of a synthetic app, and those that strangers try.

use crate::rng::Chance;

/// The endpoints: `N` a number, `U` a UUID, `D` a date, `H` a hash, `S` a title, `M` a name, `F` a file.
pub const ENDPOINTS: [(&str, &str); 40] = [
    ("GET", "/"),
    ("GET", "/products"),
    ("GET", "/products/N"),
    ("GET", "/search"),
    ("GET", "/api/v1/session"),
    ("GET", "/assets/F"),
    ("GET", "/cart"),
    ("POST", "/cart/items"),
    ("GET", "/orders"),
    ("GET", "/orders/N"),
    ("POST", "/orders/N/import"),
    ("GET", "/orders/N/items"),
    ("GET", "/users/N/avatar"),
    ("GET", "/@M"),
    ("GET", "/@M/followers"),
    ("GET", "/blog/S"),
    ("GET", "/blog"),
    ("GET", "/api/v1/orders/U"),
    ("PUT", "/api/v1/orders/U"),
    ("DELETE", "/api/v1/orders/U"),
    ("GET", "/api/v1/products/N/reviews"),
    ("POST", "/api/v1/products/N/reviews"),
    ("GET", "/api/v1/stats/D"),
    ("GET", "/calendar/D"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/settings"),
    ("PATCH", "/settings/profile"),
    ("POST", "/webhooks/stripe"),
    ("GET", "/files/H"),
    ("POST", "/files"),
    ("GET", "/exports/N.csv"),
    ("GET", "/notifications"),
    ("POST", "/notifications/N/read"),
    ("GET", "/health"),
    ("GET", "/api/v2/feed"),
    ("GET", "/api/v2/feed/N"),
    ("GET", "/admin/reports/D"),
    ("POST", "/graphql"),
    ("GET", "/robots.txt"),
];

/// The template that is expected for an endpoint.
pub fn template(endpoint: usize) -> String {
    let (_, path) = ENDPOINTS[endpoint];
    let segment = |segment: &str| match segment {
        "N" | "N.csv" => ":id".to_owned(),
        "U" => ":uuid".to_owned(),
        "D" => ":date".to_owned(),
        "H" => ":hex".to_owned(),
        "S" => ":slug".to_owned(),
        "@M" => ":name".to_owned(),
        "F" => ":file".to_owned(),
        other => other.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A path of an endpoint; one in four has a query.
pub(crate) fn path(pattern: &str, chance: &mut Chance) -> String {
    let path = without_query(pattern, chance);
    if chance.below(4) == 0 { format!("{path}?q={}", letters(chance, 8)) } else { path }
}

/// A path of an endpoint, whose varying parts are drawn.
pub(crate) fn without_query(pattern: &str, chance: &mut Chance) -> String {
    if pattern == "/" {
        return "/".to_owned();
    }
    let mut path = String::new();
    for segment in pattern.split('/').skip(1) {
        path.push('/');
        match segment {
            "N" => path.push_str(&(1 + chance.below(900_000)).to_string()),
            "N.csv" => path.push_str(&format!("{}.csv", 1 + chance.below(900_000))),
            "U" => path.push_str(&chance.uuid()),
            "D" => path.push_str(&format!("2026-{:02}-{:02}", 1 + chance.below(12), 1 + chance.below(28))),
            "H" => path.push_str(&format!("{:016x}{:04x}", chance.draw(), chance.below(65_536))),
            "S" => path.push_str(&format!(
                "{}-{}-{}-in-{}-and-more",
                letters(chance, 4),
                letters(chance, 5),
                letters(chance, 3),
                letters(chance, 6)
            )),
            "@M" => path.push_str(&format!("@{}", letters(chance, 7))),
            "F" => path.push_str(&format!("app-{:08x}.js", chance.below(1 << 32))),
            other => path.push_str(other),
        }
    }
    path
}

/// A path that somebody tries who does not know the app.
pub(crate) fn stranger(chance: &mut Chance) -> String {
    let words = ["wp-login.php", "admin", ".env", "backup", "config", "xmlrpc.php", "shop", "old", "test"];
    match chance.below(4) {
        0 => format!("/{}", words[chance.below(words.len() as u64) as usize]),
        1 => format!("/{}/{}", letters(chance, 6), letters(chance, 8)),
        2 => format!("/{}", letters(chance, 7)),
        _ => format!("/{}/{}.php", words[chance.below(words.len() as u64) as usize], letters(chance, 5)),
    }
}

/// Letters like those of a word.
fn letters(chance: &mut Chance, count: usize) -> String {
    let pick = |chance: &mut Chance, letters: &[u8]| {
        char::from(letters[chance.below(letters.len() as u64) as usize])
    };
    (0..count)
        .map(|place| if place % 2 == 0 { pick(chance, b"bcdfghklmnprstvw") } else { pick(chance, b"aeiou") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ENDPOINTS, path, stranger, template};
    use crate::rng::Chance;

    #[test]
    fn each_endpoint_has_paths_of_its_own() {
        let mut chance = Chance::new(1);
        for (endpoint, (_, pattern)) in ENDPOINTS.iter().enumerate() {
            let drawn: Vec<String> = (0..20).map(|_| path(pattern, &mut chance)).collect();
            let segments = |path: &str| path.split('?').next().map_or(0, |path| path.split('/').count());
            assert!(drawn.iter().all(|path| segments(path) == segments(&template(endpoint))), "{drawn:?}");
            let varies = template(endpoint).contains(':');
            let first = drawn[0].split('?').next();
            assert_eq!(drawn.iter().any(|path| path.split('?').next() != first), varies, "{drawn:?}");
        }
        assert!((0..100).all(|_| stranger(&mut chance).starts_with('/')));
    }
}

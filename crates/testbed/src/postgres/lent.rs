//! One server for all tests of a program, and a prepared database of its own for each test.

use std::sync::OnceLock;

use super::{Server, ServerOptions};

/// The server of this program and the name of its prepared database.
static SHARED: OnceLock<(Server, String)> = OnceLock::new();

/// A database that a test has for itself; it goes with this.
#[derive(Debug)]
pub struct Lent {
    name: String,
}

/// A database like the one that `prepare` makes of an empty one, whose URL it is given. It is asked once in a program,
/// on a thread of its own, so that it may run what blocks.
///
/// Panics when there is no server to be had: a test that needs one cannot go on.
pub fn lend(prepare: impl FnOnce(&str) + Send) -> Lent {
    let (server, template) = SHARED.get_or_init(|| {
        let server = Server::start(&ServerOptions::default()).unwrap_or_else(|missing| panic!("{missing}"));
        let template = server.create().unwrap_or_else(|missing| panic!("{missing}"));
        let url = server.url(&template);
        std::thread::scope(|scope| scope.spawn(|| prepare(&url)).join().expect("the database is prepared"));
        (server, template)
    });
    Lent { name: server.create_like(template).unwrap_or_else(|missing| panic!("{missing}")) }
}

impl Lent {
    /// The database's URL.
    pub fn url(&self) -> String {
        self.server().url(&self.name)
    }

    /// Have SQL run in it; what is printed, without headings.
    pub fn sql(&self, sql: &str) -> String {
        self.server().sql(&self.name, sql).unwrap_or_else(|missing| panic!("{missing}"))
    }

    #[expect(clippy::unused_self, reason = "there is a server for certain once something of it is lent")]
    fn server(&self) -> &'static Server {
        &SHARED.get().expect("it was lent by the server").0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // It would go with the server; this gives its room to the next.
        drop(self.server().sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name)));
    }
}

//! A real sshd on loopback with its own keys: it neither changes nor trusts the machine's files.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SERVER: &str = "/usr/sbin/sshd";

/// A running server.
pub(crate) struct Sshd {
    server: Child,
    port: u16,
    folder: TempDir,
}

impl Sshd {
    /// Starts a server. If openssh is missing, the test fails.
    pub(crate) fn start() -> Self {
        let has =
            |program: &str| Command::new(program).arg("-V").stdin(Stdio::null()).output().is_ok();
        assert!(
            Path::new(SERVER).exists() && has("ssh") && has("ssh-keygen"),
            "openssh-server or openssh-client is missing: `scripts/up test` installs them"
        );
        let folder = TempDir::new().expect("a temporary folder can be made");
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.path().join(key))
                .status();
            assert!(made.expect("ssh-keygen starts").success());
        }
        // The folder for the unprivileged part of root's sshd; a package creates it when sshd starts.
        let _ = fs::create_dir_all("/run/sshd");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
            path("host"),
            path("user.pub"),
        );
        fs::write(path("settings"), settings).expect("a temporary file can be written");
        let server = Command::new(SERVER)
            .args(["-D", "-e", "-f", &path("settings")])
            .stderr(fs::File::create(path("log")).expect("a temporary file can be made"))
            .spawn()
            .expect("sshd starts");
        let mut sshd = Sshd { server, port, folder };
        sshd.wait();
        sshd
    }

    fn wait(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let ended = self.server.try_wait().expect("it is our child");
            assert!(ended.is_none() && Instant::now() < end, "sshd does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The command line that runs a command behind the server.
    pub(crate) fn command(&self, remote: &str) -> String {
        let key = self.folder.path().join("user").display().to_string();
        format!(
            "ssh -F none -p {} -i {key} -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.0.1 '{remote}'",
            self.port
        )
    }

    /// Cuts every connection: its processes here are gone, as if the board had lost its power.
    pub(crate) fn cut(&self) {
        self.signal("KILL");
    }

    /// Stops every connection; each stays open, but no byte passes.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Resumes the frozen connections.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let connections = connections(self.server.id());
        assert!(!connections.is_empty(), "nobody is connected");
        for connection in connections {
            // The process may have exited in the meantime.
            let _ =
                Command::new("kill").arg(format!("-{name}")).arg(connection.to_string()).status();
        }
    }

    /// Ends the connection that commands shared.
    pub(crate) fn close_shared(&self, socket: &Path) {
        let ended = Command::new("ssh")
            .args(["-F", "none", "-O", "exit", "-o"])
            .arg(format!("ControlPath={}", socket.display()))
            .arg("127.0.0.1")
            .stderr(Stdio::null())
            .status();
        assert!(ended.expect("ssh starts").success());
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The processes called sshd below a process, without the programs that they started.
fn connections(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let children = text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok());
    let is_sshd = |pid: &u32| {
        let name: PathBuf = format!("/proc/{pid}/comm").into();
        fs::read_to_string(name).is_ok_and(|name| name.starts_with("sshd"))
    };
    children.filter(is_sshd).flat_map(|pid| [connections(pid), vec![pid]].concat()).collect()
}

//! The processes under test: started on free ports with files of their own, measured through `/proc`, ended by pid.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::Plan;
use super::answers;
use super::client::Connection;

/// How long a process may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The plan and a folder for policies, configurations and sockets that is removed at the end.
pub(super) struct Workshop {
    pub(super) plan: Plan,
    folder: TempDir,
}

/// A child that is killed by its pid when dropped.
pub(super) struct Process {
    child: Child,
    name: &'static str,
}

/// nginx as a plain reverse proxy with a pool of upstream connections.
pub(super) struct Nginx {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
}

/// A Redis server that keeps nothing on disk.
pub(super) struct Redis {
    process: Process,
    pub(super) address: SocketAddr,
}

/// What sidecars share.
pub(super) struct Stores {
    /// Where answers are.
    pub(super) redis: Option<SocketAddr>,
    /// Address of the semantic cache's index.
    pub(super) index: Option<String>,
}

/// `kubectl-llmcache local` under one policy.
pub(super) struct Sidecar {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    /// Held open: a process that finds its output closed may end.
    _stdout: BufReader<ChildStdout>,
}

impl Workshop {
    /// Makes the folder and checks that the programs are there.
    pub(super) fn open(plan: Plan) -> Result<Self> {
        for program in [&plan.llmcache, &plan.nginx, &plan.redis_server] {
            ensure!(
                program.is_file(),
                "{} is missing: name it by its flag",
                program.display()
            );
        }
        Ok(Self {
            plan,
            folder: TempDir::with_prefix("llmcache-bench-")?,
        })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Process {
    /// `stderr` stays the bench's own unless the command says otherwise, so that a failure explains itself.
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { child, name })
    }

    /// CPU time of all its threads since its start, in nanoseconds of run time.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end between the listing and the reading.
            if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
                nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory in KiB: now (`VmRSS`), or its peak (`VmHWM`).
    pub(super) fn resident_kib(&self, field: &str) -> Result<u32> {
        status_kib(self.child.id(), field)
    }

    /// Resident memory in MiB of the processes that it has started.
    pub(super) fn children_mib(&self) -> Result<f64> {
        let mut kib = 0;
        // Each thread has the children that it started itself.
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                kib += status_kib(child.parse()?, "VmRSS:")?;
            }
        }
        Ok(f64::from(kib) / 1024.0)
    }

    fn await_port(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended while starting: {status}", self.name);
            }
            ensure!(Instant::now() < deadline, "{} does not listen on {address}", self.name);
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn status_kib(id: u32, field: &str) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .with_context(|| format!("no {field}"))?;
    Ok(line.split_whitespace().nth(1).unwrap_or_default().parse()?)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// One worker in the foreground: with a single connection more would sleep, and one pid has all the CPU time.
    pub(super) fn start(shop: &Workshop, upstream: SocketAddr) -> Result<Self> {
        let address = free_address()?;
        let folder = shop.folder.path().display();
        let config = shop.write("nginx.conf", &format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n  access_log off; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 32m;\n  \
             client_body_buffer_size 2m; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n  \
             fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n  \
             upstream provider {{ server {upstream}; keepalive 32; keepalive_requests 1000000000; }}\n  \
             server {{\n    listen {address};\n    location / {{\n      proxy_pass http://provider; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_buffering off;\n    }}\n  }}\n}}\n"
        ))?;
        let mut command = Command::new(&shop.plan.nginx);
        command
            .arg("-c")
            .arg(config)
            .arg("-p")
            .arg(shop.folder.path())
            .stderr(Stdio::null());
        let mut process = Process::start("nginx", &mut command)?;
        process.await_port(address)?;
        Ok(Self { process, address })
    }
}

impl Redis {
    /// A fresh server on a free port, without persistence.
    pub(super) fn start(shop: &Workshop) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(&shop.plan.redis_server);
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "warning",
            "--port",
        ]);
        command
            .arg(address.port().to_string())
            .arg("--dir")
            .arg(shop.folder.path())
            .stdout(Stdio::null());
        let mut process = Process::start("redis-server", &mut command)?;
        process.await_port(address)?;
        Ok(Self { process, address })
    }

    /// Stops it without a word, as a paused machine would.
    pub(super) fn freeze(&self) -> Result<()> {
        let status = Command::new("kill")
            .args(["-STOP", &self.process.child.id().to_string()])
            .status()?;
        ensure!(status.success(), "redis-server could not be stopped");
        Ok(())
    }

    /// Bytes it has allocated.
    pub(super) fn used(&self) -> Result<u32> {
        let said = self.ask("INFO memory")?;
        let used = said.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.context("Redis does not say what it uses")?.trim().parse()?)
    }

    /// Values of the plain kind that it holds, as answers are.
    pub(super) fn values(&self) -> Result<u32> {
        let said = self.ask("SCAN 0 COUNT 10000000 TYPE string")?;
        let names = said.lines().filter(|line| line.starts_with("llmcache:"));
        Ok(u32::try_from(names.count())?)
    }

    fn ask(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    }
}

impl Sidecar {
    /// Starts under the policy `spec` (YAML, indented by two) against `upstream`, with the shared tier at `redis` if given,
    /// and waits until it has reached that.
    pub(super) fn start(shop: &Workshop, spec: &str, upstream: SocketAddr, redis: Option<SocketAddr>) -> Result<Self> {
        Self::start_with(shop, spec, upstream, &Stores { redis, index: None })
    }

    /// The same with any shared stores.
    pub(super) fn start_with(shop: &Workshop, spec: &str, upstream: SocketAddr, stores: &Stores) -> Result<Self> {
        let policy = shop.write("policy.yaml", &format!(
            "apiVersion: llmcache.dev/v1alpha1\nkind: LLMCachePolicy\nmetadata: {{name: bench, namespace: bench}}\nspec:\n{spec}"
        ))?;
        let mut command = Command::new(&shop.plan.llmcache);
        command
            .arg("local")
            .arg("-f")
            .arg(policy)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--secret-file").arg(shop.folder.path().join("secret"));
        command.arg("--anthropic-upstream").arg(format!("http://{upstream}"));
        if let Some(redis) = stores.redis {
            command.arg("--redis").arg(format!("redis://{redis}"));
        }
        if let Some(index) = &stores.index {
            command.arg("--qdrant").arg(index);
        }
        let log = shop.folder.path().join("llmcache.log");
        command.stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        let mut process = Process::start("kubectl-llmcache", &mut command)?;
        let mut stdout = BufReader::new(process.child.stdout.take().context("the output is not piped")?);
        let Some(address) = ready_address(&mut stdout)? else {
            bail!("kubectl-llmcache ended before it served:\n{}", fs::read_to_string(log)?);
        };
        if stores.redis.is_some() {
            await_store(address)?;
        }
        Ok(Self {
            process,
            address,
            _stdout: stdout,
        })
    }
}

/// The proxy's address from the line it prints once it serves, or nothing if its output ends before.
fn ready_address(stdout: &mut BufReader<ChildStdout>) -> Result<Option<SocketAddr>> {
    for line in stdout.lines() {
        let line = line?;
        if let Some(rest) = line.strip_prefix("llmcache ready proxy=http://") {
            return Ok(Some(rest.split(' ').next().unwrap_or_default().parse()?));
        }
    }
    Ok(None)
}

/// Waits until the shared tier is reached and the order of bans is known: what is offered before is not written.
fn await_store(proxy: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let mut connection = Connection::open(proxy)?;
    while !connection
        .fetch(&answers::dry_ban())
        .is_ok_and(|said| said.contains("\"complete\":true"))
    {
        ensure!(Instant::now() < deadline, "the sidecar does not reach Redis");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A port that was free a moment ago; nginx and Redis cannot be asked to choose one and tell.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

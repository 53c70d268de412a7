//! What must not be served any more: in both pods and in Redis, and nothing else.

use anyhow::ensure;
use serde_json::Value;

use super::stage::{SYSTEM, Stage, until};

const QUESTION: &str = "What did I order?";

pub(super) async fn an_invalidation_kills_one_users_answers_everywhere(stage: &Stage) -> anyhow::Result<String> {
    let pods = stage.chats().await?;
    for pod in &pods {
        for user in ["123", "124"] {
            stage.ask(pod, QUESTION, user).await?;
        }
    }
    until("both users hit in both pods", async || {
        Ok(is_hit(stage, &pods, "123").await? && is_hit(stage, &pods, "124").await?)
    })
    .await?;
    let (dry, code) = stage
        .command(&["invalidate", "user:123:*", "-n", "shop", "--dry-run", "--wait"])
        .await?;
    ensure!(
        code == 0 && is_hit(stage, &pods, "123").await?,
        "a dry run kills nothing: {dry}"
    );
    let (said, code) = stage
        .command(&["invalidate", "user:123:*", "-n", "shop", "--wait"])
        .await?;
    ensure!(code == 0, "exit {code}: {said}");
    for pod in &pods {
        let (gone, kept) = (
            stage.ask(pod, QUESTION, "123").await?,
            stage.ask(pod, QUESTION, "124").await?,
        );
        if pod == &pods[0] {
            ensure!(gone.cache.contains("fwd=miss"), "user 123's answer is gone: {gone:?}");
        }
        ensure!(kept.cache.starts_with("llmcache; hit"), "user 124's is not: {kept:?}");
    }
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

pub(super) async fn a_changed_config_map_runs_its_ban_once(stage: &Stage) -> anyhow::Result<String> {
    let map = |text: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: product-docs, namespace: shop}}\ndata: {{text: {text}}}\n"
        )
    };
    stage.apply_text(&map("first")).await?;
    let policy = super::stage::policy_with(|text| {
        text.replace(
            r#"- {name: docs-changed, pattern: "doc:*"}"#,
            r#"- {name: docs-changed, pattern: "user:124", onChange: {configMap: product-docs}}"#,
        )
    })?;
    stage.apply_text(&policy).await?;
    stage.programmed("2/2").await?;
    until("the first sight is recorded", async || {
        Ok(stage.policy().await?["status"]["invalidations"][0]["resourceVersion"].is_string())
    })
    .await?;
    let before = bans(stage).await?.len();
    let pods = stage.chats().await?;
    stage.ask(&pods[0], QUESTION, "124").await?;
    stage.apply_text(&map("second")).await?;
    until("the ban is complete", async || {
        let bans = bans(stage).await?;
        let mut fired = bans.iter().filter(|ban| ban["spec"]["pattern"] == "user:124");
        Ok(fired.any(|ban| is_true(ban, "Complete")))
    })
    .await?;
    let after = bans(stage).await?.len();
    ensure!(
        after == before + 1,
        "one change is one ban: {before} before, {after} after"
    );
    let gone = stage.ask(&pods[0], QUESTION, "124").await?;
    ensure!(gone.cache.contains("fwd=miss"), "the answer is gone: {gone:?}");
    Ok("kubectl apply of the ConfigMap killed what it stands for".into())
}

pub(super) async fn a_neighbours_login_reads_nothing(stage: &Stage) -> anyhow::Result<String> {
    let users = redis(stage, "ACL LIST").await?;
    let ours = users.lines().filter(|line| line.contains("user llmcache-")).count();
    ensure!(ours > 0, "the leader keeps a user per namespace: {users}");
    for line in users.lines().filter(|line| line.contains("user llmcache-")) {
        ensure!(
            line.contains("~llmcache:") && line.contains("-@all"),
            "each has one prefix and few commands: {line}"
        );
    }
    let keys = redis(stage, "KEYS *").await?;
    let prefix = keys
        .lines()
        .find_map(|key| key.split(':').nth(1))
        .unwrap_or_default()
        .to_owned();
    let key = keys
        .lines()
        .find(|key| key.contains(":r:"))
        .unwrap_or_default()
        .trim()
        .to_owned();
    ensure!(!key.is_empty(), "answers are stored: {keys}");
    // A neighbour's login has its own prefix and the same commands.
    let rules = llmcache_policy::redis_acl::rules("llmcache:00000000000000000000000000000000:", "");
    let rules: Vec<String> = rules
        .into_iter()
        .map(|rule| if rule == "#" { ">neighbour".into() } else { rule })
        .collect();
    redis(stage, &format!("ACL SETUSER neighbour {}", rules.join(" "))).await?;
    for command in [
        format!("GET {key}"),
        format!("SET {key} x"),
        format!("UNLINK {key}"),
        "KEYS *".to_owned(),
    ] {
        let said = redis(stage, &format!("AUTH neighbour neighbour\n{command}")).await?;
        ensure!(said.contains("NOPERM"), "{command} is refused: {said}");
    }
    redis(stage, "ACL DELUSER neighbour").await?;
    Ok(format!(
        "{ours} user(s); a neighbour is refused on every key of llmcache:{}…",
        &prefix[..6.min(prefix.len())]
    ))
}

async fn is_hit(stage: &Stage, pods: &[String], user: &str) -> anyhow::Result<bool> {
    for pod in pods {
        if !stage.ask(pod, QUESTION, user).await?.cache.starts_with("llmcache; hit") {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn bans(stage: &Stage) -> anyhow::Result<Vec<Value>> {
    let list: Value = serde_json::from_str(&stage.kubectl(&["-n", "shop", "get", "lci", "-o", "json"]).await?)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Runs commands in the chart's Redis as its administrator.
async fn redis(stage: &Stage, commands: &str) -> anyhow::Result<String> {
    let script = format!(
        "cd /etc/llmcache/redis && redis-cli --tls --cacert ca.crt -h llmcache-redis -a \"$(cat password)\" \
         --no-auth-warning <<'EOF'\n{commands}\nEOF"
    );
    stage
        .kubectl(&["-n", SYSTEM, "exec", "llmcache-redis-0", "--", "sh", "-c", &script])
        .await
}

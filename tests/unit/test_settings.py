from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from app.assembly import read_settings
from app.domain import Role
from app.errors import ConfigError
from app.identity.basic import hash_password

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"


@pytest.fixture
def read(tmp_path):
    """Read settings from the text of a file."""

    def read(text="", environ=None, **overrides):
        file = tmp_path / "slipway.yaml"
        file.write_text(text, encoding="utf-8")
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        return read_settings(file, dotted, environ or {})

    return read


@pytest.fixture
def faults(read):
    """Return the faults of settings, by path."""

    def faults(text="", environ=None, **overrides):
        with pytest.raises(ConfigError) as caught:
            read(text, environ, **overrides)
        found = [(fault.path, fault.message) for fault in caught.value.fields]
        assert len(dict(found)) == len(found), "a path has two faults"
        return dict(found)

    return faults


class TestDefaults:
    def test_nothing_needs_to_be_configured(self):
        settings = read_settings(None, {}, {"HOME": "/home/ada"})
        assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8080)
        assert settings.api.auth.type == "none"
        assert settings.web.processes is None
        assert (settings.logs.max_timeout, settings.logs.max_page) == (600.0, 10_000)
        assert settings.engine.kill_grace == 10.0
        assert [(o.name, o.type) for o in settings.orchestrators] == [
            ("local", "engine"), ("load", "load"),
        ]  # fmt: skip
        assert settings.orchestrators[0].options.launcher.type == "local"
        assert (settings.ssh_keys.store, settings.ssh_keys.algorithm) == ("embedded", "ed25519")

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("", [("local", "engine"), ("load", "load")]),
            ("orchestrators: [{name: load}]", [("load", "engine"), ("load-2", "load")]),
            ("orchestrators: [{name: mine, type: load}]", [("mine", "load")]),
            ("load: {enabled: false}", [("local", "engine")]),
        ],
        ids=["by-default", "name-in-use", "by-another-name", "off"],
    )
    def test_virtual_users_are_there_unless_they_are_switched_off(
        self, tmp_path, written, expected
    ):
        file = tmp_path / "slipway.yaml"
        file.write_text(written, encoding="utf-8")
        settings = read_settings(file, {}, {"HOME": "/"})
        assert [(o.name, o.type) for o in settings.orchestrators] == expected

    @pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 2), (4, 4), (64, 4)])
    def test_each_usable_core_has_a_web_process_up_to_a_few(self, monkeypatch, cores, processes):
        monkeypatch.setattr("app.settings.sections.usable_cores", lambda: cores)
        assert read_settings(None, {}, {"HOME": "/"}).web_processes == processes
        vault = {
            "ROLE_ID": "r",
            "SECRET_ID": "s",
            "IS_SECRET_WRAPPED": "true",
            "ADDRESS": "http://v",
        }
        once = {f"SLIPWAY_SSH_KEYS__VAULT__{name}": value for name, value in vault.items()}
        assert read_settings(None, {}, {"HOME": "/", **once}).web_processes == 1
        given = {"HOME": "/", "SLIPWAY_WEB__PROCESSES": "7"}
        assert read_settings(None, {}, given).web_processes == 7

    def test_everything_lies_in_the_data_folder(self):
        settings = read_settings(None, {}, {"HOME": "/home/ada"})
        assert settings.data_dir == Path("/home/ada/.local/share/slipway")
        assert settings.database_url == "sqlite:////home/ada/.local/share/slipway/slipway.db"
        assert settings.workflows_dir == settings.data_dir / "workflows"
        assert settings.executions_dir == settings.data_dir / "executions"
        assert settings.master_key_file == settings.data_dir / "master.key"

    def test_the_data_folder_follows_xdg(self):
        settings = read_settings(None, {}, {"HOME": "/home/ada", "XDG_DATA_HOME": "/data"})
        assert settings.data_dir == Path("/data/slipway")

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "{}", "---\n"])
    def test_an_empty_file_is_all_defaults(self, read, text):
        assert read(text).api.port == 8080

    def test_settings_cannot_be_changed(self, read):
        with pytest.raises(FrozenInstanceError):
            read().api.port = 1


class TestFile:
    def test_what_the_file_says_is_taken(self, read):
        settings = read("""
            api: {host: 127.0.0.2, port: 9000}
            logs: {max_timeout: 1m30s, max_page: 5}
            engine: {max_parallel_tasks: 3, kill_grace: 500ms, workflows_dir: /srv/flows}
            database: {url: "postgresql+psycopg://u:p@db/x"}
            ssh_keys: {algorithm: rsa-4096, master_key_file: /run/key}
        """)
        assert (settings.api.host, settings.api.port) == ("127.0.0.2", 9000)
        assert (settings.logs.max_timeout, settings.logs.max_page) == (90.0, 5)
        assert (settings.engine.max_parallel_tasks, settings.engine.kill_grace) == (3, 0.5)
        assert settings.workflows_dir == Path("/srv/flows")
        assert settings.database_url == "postgresql+psycopg://u:p@db/x"
        assert settings.master_key_file == Path("/run/key")

    def test_a_relative_data_folder_is_beside_the_file(self, read, tmp_path):
        assert read("data_dir: data").data_dir == tmp_path / "data"

    def test_secrets_are_not_in_the_representation(self, read):
        settings = read(
            """
            database: {url: "postgresql+psycopg://u:hunter2@db/x"}
            api: {auth: {type: basic, users: [{username: ada, password: hunter2}]}}
            """
        )
        assert "hunter2" not in repr(settings)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("api: [1, 2", "is not YAML"),
            ("a: b: c", "is not YAML"),
            ("just text", "must be a mapping"),
            ("- a list", "must be a mapping"),
            ("? [a]\n: 1", "must have plain names (line 1)"),
            ("api: {port: 1}\n---\napi: {}", "holds more than one document (line 2)"),
            ("api: \x07", "holds a control character"),
        ],
    )
    def test_a_file_that_is_no_mapping_in_yaml_is_named(self, faults, tmp_path, text, message):
        found = faults(text)
        assert list(found) == [str(tmp_path / "slipway.yaml")]
        assert message in found[str(tmp_path / "slipway.yaml")]

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(ConfigError) as caught:
            read_settings(tmp_path / "none.yaml", {}, {})
        [fault] = caught.value.fields
        assert fault.path == str(tmp_path / "none.yaml")
        assert "cannot be read" in fault.message

    def test_a_file_that_is_not_utf8_is_named(self, tmp_path):
        (tmp_path / "x.yaml").write_bytes(b"api: \xff\xfe")
        with pytest.raises(ConfigError, match=r"x\.yaml"):
            read_settings(tmp_path / "x.yaml", {}, {})


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "path", "message"),
        [
            ("api: {port: 99999}", "api.port", "must be 1..65535"),
            ("api: {port: -1}", "api.port", "must be 1..65535"),
            ("api: {port: eighty}", "api.port", "must be a whole number"),
            ("api: {port: 80.5}", "api.port", "must be a whole number"),
            ("api: {port: true}", "api.port", "must be a whole number"),
            ("api: {port: }", "api.port", "must not be empty"),
            ("api: 8080", "api", "must be a mapping"),
            ("api: {prot: 1}", "api.prot", "is not a setting"),
            ("apy: {port: 1}", "apy", "is not a setting"),
            ("api: {insecure: maybe}", "api.insecure", "must be true or false"),
            ("api: {auth: {type: magic}}", "api.auth.type", "must be one of: none, basic"),
            ("web: {processes: 0}", "web.processes", "must be greater than or equal to 1"),
            ("logs: {max_timeout: soon}", "logs.max_timeout", "must be a duration"),
            ("logs: {max_timeout: 5}", "logs.max_timeout", "must be a duration"),
            ("logs: {max_timeout: -1s}", "logs.max_timeout", "must be at least 0s"),
            ("logs: {max_page: 0}", "logs.max_page", "must be greater than or equal to 1"),
            ("database: {url: 'mysql://x'}", "database.url", "must start with sqlite:///"),
            ("engine: {max_parallel_tasks: 0}", "engine.max_parallel_tasks", "must be greater"),
            ("engine: {pass_env: PATH}", "engine.pass_env", "must be a list"),
            ("engine: {pass_env: [1]}", "engine.pass_env[0]", "must be text"),
            ("ssh_keys: {algorithm: dsa}", "ssh_keys.algorithm", "must be one of: ed25519"),
            ("ssh_keys: {store: floor}", "ssh_keys.store", "must be one of"),
            ("ssh_keys: {store: vault}", "ssh_keys.vault", "is needed"),
            ("orchestrators: []", "orchestrators", "must name at least one"),
            ("orchestrators: local", "orchestrators", "must be a list"),
            ("orchestrators: [local]", "orchestrators[0]", "must be a mapping"),
            ("orchestrators: [{type: engine}]", "orchestrators[0].name", "must be lower-case"),
            ("orchestrators: [{name: A b}]", "orchestrators[0].name", "must be lower-case"),
            (
                "orchestrators: [{name: a, launcher: slurm, slurm: {host: h, port: x}}]",
                "orchestrators[0].slurm.port",
                "must be a whole number",
            ),
            (
                "orchestrators: [{name: a, launcher: {type: slurm, host: h, port: x}}]",
                "orchestrators[0].launcher.port",
                "must be a whole number",
            ),
            ("orchestrators: [{name: a, type: x}]", "orchestrators[0].type", "must be one of"),
            ("orchestrators: [{name: a, type: 'a:b:c'}]", "orchestrators[0].type", "must be one"),
            ("orchestrators: [{name: a, lancher: x}]", "orchestrators[0].lancher", "is not a set"),
            ("orchestrators: [{name: a}, {name: a}]", "orchestrators[1].name", "is used twice"),
            ("observability: {log_level: LOUD}", "observability.log_level", "must be one of"),
        ],
    )
    def test_each_is_named_by_its_path_in_the_file(self, faults, text, path, message):
        found = faults(text)
        assert list(found) == [path]
        assert message in found[path]

    @pytest.mark.parametrize(
        ("user", "path", "message"),
        [
            ("{password: x}", ".username", "is missing"),
            ("{username: 'a:b', password: x}", ".username", "does not match"),
            ("{username: 'a b', password: x}", ".username", "does not match"),
            ("{username: ''}", ".username", "does not match"),
            ("{username: ada}", "", "needs either"),
            (f"{{username: ada, password: x, password_hash: {HASH!r}}}", "", "needs either"),
            ("{username: ada, password_hash: plain}", ".password_hash", "must be an Argon2 hash"),
            ("{username: ada, password: x, roles: [boss]}", ".roles[0]", "must be one of"),
            ("{username: ada, password: x, rolls: [user]}", ".rolls", "is not a setting"),
        ],
    )
    def test_those_of_a_user_are_named(self, faults, user, path, message):
        found = faults(f"api: {{auth: {{type: basic, users: [{user}]}}}}")
        assert list(found) == [f"api.auth.users[0]{path}"]
        assert message in found[f"api.auth.users[0]{path}"]

    def test_a_user_name_can_be_used_once(self, faults):
        users = "[{username: ada, password: x}, {username: ada, password: y}]"
        found = faults(f"api: {{auth: {{type: basic, users: {users}}}}}")
        assert found == {"api.auth.users[1].username": "'ada' is used twice"}

    def test_all_are_told_at_once(self, faults):
        found = faults("""
            api: {port: 0x, hots: a}
            web: {processes: 1000}
            logs: {max_timeout: never}
            orchestrators: [{name: ok}, {name: a, type: nothing}, {name: b, x: 1}]
            other: 1
        """)
        assert set(found) == {
            "api.port", "api.hots", "web.processes", "logs.max_timeout", "orchestrators[1].type",
            "orchestrators[2].x", "other",
        }  # fmt: skip

    def test_the_message_counts_them_and_names_the_file(self, read, tmp_path):
        with pytest.raises(ConfigError) as caught:
            read("a: 1\nb: 2")
        assert caught.value.message == f"The settings in {tmp_path}/slipway.yaml have 2 fault(s)."

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
    def test_without_authentication_only_loopback_is_served(self, faults, read, host):
        text = f"api: {{host: {host!r}}}"
        found = faults(text)
        assert "--insecure" in found["api.host"]
        assert read(text, api__insecure="true").api.host == host
        users = "auth: {type: basic, users: [{username: ada, password: x}]}"
        assert read(f"api: {{host: {host!r}, {users}}}").api.host == host

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
    def test_every_loopback_address_will_do(self, read, host):
        assert read(f"api: {{host: '{host}'}}").api.host == host

    @pytest.mark.parametrize(
        ("vault", "missing"),
        [
            ("{}", {"address"}),
            ("{address: 'http://v:8200'}", {"role_id", "secret_id"}),
            ("{address: 'http://v:8200', auth: token}", {"token"}),
            ("{address: vault, auth: token, token: x}", {"address"}),
        ],
    )
    def test_what_vault_needs_is_named(self, faults, vault, missing):
        found = faults(f"ssh_keys: {{store: vault, vault: {vault}}}")
        assert set(found) == {f"ssh_keys.vault.{name}" for name in missing}

    def test_what_the_reader_of_keys_needs_is_named(self, faults):
        vault = "address: 'http://v', role_id: r, secret_id: s"
        found = faults(f"ssh_keys: {{store: vault, vault: {{{vault}, reader: {{}}}}}}")
        assert set(found) == {f"ssh_keys.vault.reader.{name}" for name in ("role_id", "secret_id")}
        same = "reader: {role_id: r, secret_id: t}"
        found = faults(f"ssh_keys: {{store: vault, vault: {{{vault}, {same}}}}}")
        assert "must be another one" in found["ssh_keys.vault.reader.role_id"]

    def test_no_message_repeats_a_secret(self, faults):
        found = faults("""
            database: {url: "mysql://u:hunter2@db"}
            api: {auth: {type: basic, users: [{username: ada, password: [hunter2]}]}}
        """)
        assert set(found) == {"database.url", "api.auth.users[0].password"}
        assert "hunter2" not in str(found)


class TestReading:
    def test_a_name_that_stands_twice_is_told_with_both_lines(self, faults):
        text = """data_dir: data
api:
  port: 1
  auth: {type: basic, users: [{username: bob, password: secret}]}
api:
  port: 2
web:
  processes: 1
  processes: 2
"""
        assert faults(text) == {
            "api": "stands twice, first in line 2 (line 5)",
            "web.processes": "stands twice, first in line 8 (line 9)",
        }

    def test_a_name_that_stands_twice_in_a_list_or_in_json_is_told(self, faults):
        user = '{"username": "ada", "password": "x", "password": "y"}'
        text = f'{{"api": {{"auth": {{"type": "basic", "users": [{user}]}}}}}}'
        assert faults(text) == {
            "api.auth.users[0].password": "stands twice, first in line 1 (line 1)"
        }

    def test_what_else_is_wrong_is_told_too(self, faults):
        found = faults("api: {port: 1}\napi: {prot: 2}\nweb: {processes: 0}\nother: 1")
        assert set(found) == {"api", "web.processes", "other"}

    @pytest.mark.parametrize(
        ("text", "path", "message"),
        [
            ("api: &x {port: 1}", "api", "must not use anchors and aliases (line 1)"),
            ("api: {port: 1}\nweb: *x", "web", "must not use anchors and aliases (line 2)"),
            ("a: !!python/object/apply:os.system [id]", "a", "must not have a tag (line 1)"),
            ("api: {port: 2:15}", "api.port", "must be a whole number"),
            ("api: {port: 0x1F90}", "api.port", "must be a whole number"),
            ("api: {port: 1_000}", "api.port", "must be a whole number"),
        ],
    )
    def test_what_only_some_readers_of_yaml_know_is_refused(self, faults, text, path, message):
        found = faults(text)
        assert list(found) == [path]
        assert message in found[path]

    def test_numbers_are_decimal(self, read):
        assert read("api: {port: 010000}").api.port == 10000
        assert read("", {"SLIPWAY_API__PORT": "010000"}).api.port == 10000

    @pytest.mark.parametrize("text", ["2:15", "2024-01-31", "no", "1_000", "=", "0x10"])
    def test_what_json_would_not_read_is_text(self, read, text):
        users = f"[{{username: ada, password: {text}}}]"
        [user] = read(f"api: {{auth: {{type: basic, users: {users}}}}}").api.auth.users
        assert user.password == text

    def test_a_variable_with_a_name_that_stands_twice_is_told(self, faults):
        found = faults("", {"SLIPWAY_ENGINE": "{kill_grace: 1s, kill_grace: 2s}"})
        assert found == {"SLIPWAY_ENGINE": "kill_grace: stands twice, first in line 1 (line 1)"}

    def test_two_variables_for_one_setting_are_told(self, faults):
        found = faults("", {"SLIPWAY_API__PORT": "1", "SLIPWAY_api__port": "2"})
        assert found == {"SLIPWAY_api__port": "says the same setting as SLIPWAY_API__PORT"}


class TestExpansion:
    def test_variables_and_their_defaults(self, read):
        text = """
            api: {host: "${HOST}", port: "${PORT:-9001}"}
            engine: {workflows_dir: "${BASE}/flows/${WHICH:-all}"}
        """
        settings = read(text, {"HOST": "127.0.0.3", "BASE": "/srv"})
        assert (settings.api.host, settings.api.port) == ("127.0.0.3", 9001)
        assert settings.workflows_dir == Path("/srv/flows/all")

    def test_an_empty_default_and_an_empty_variable_are_values(self, read):
        assert read('database: {url: "${URL:-}"}').database.url == ""
        assert read('database: {url: "${URL:-mysql://}"}', {"URL": ""}).database.url == ""

    def test_a_variable_that_is_not_set_is_named_by_its_path(self, faults):
        text = """
            api: {auth: {type: basic, users: [{username: ada, password: "${ADA}"}]}}
            data_dir: ${NOWHERE}/x
        """
        assert faults(text) == {
            "api.auth.users[0].password": "the variable ADA is not set",
            "data_dir": "the variable NOWHERE is not set",
        }

    def test_a_secret_comes_from_a_file_without_its_last_line_end(self, read, tmp_path):
        (tmp_path / "secret").write_text("s3cret \n", encoding="utf-8")
        user = f"{{username: ada, password: '${{file:{tmp_path}/secret}}'}}"
        settings = read(f"api: {{auth: {{type: basic, users: [{user}]}}}}")
        assert settings.api.auth.users[0].password == "s3cret "

    def test_a_secret_file_that_is_missing_is_named(self, faults):
        found = faults("database: {url: '${file:/nowhere/at/all}'}")
        assert list(found) == ["database.url"]
        assert "/nowhere/at/all" in found["database.url"]

    def test_what_was_put_in_is_not_expanded_again(self, read):
        settings = read("engine: {workflows_dir: '${A}'}", {"A": "${B}", "B": "b"})
        assert settings.workflows_dir == Path("${B}")

    def test_other_dollar_signs_stay(self, read):
        assert read("engine: {workflows_dir: /a$b/$c/}").workflows_dir == Path("/a$b/$c")


class TestOverrides:
    def test_a_variable_overrides_a_leaf_of_the_file(self, read):
        settings = read("api: {port: 9000, host: 127.0.0.2}", {"SLIPWAY_API__PORT": "9100"})
        assert (settings.api.host, settings.api.port) == ("127.0.0.2", 9100)

    def test_a_variable_reaches_any_depth_and_lists(self, read):
        text = "api: {auth: {type: basic, users: [{username: ada, password: a}]}}"
        settings = read(
            text,
            {"SLIPWAY_API__AUTH__USERS__0__PASSWORD": "12345", "SLIPWAY_API__AUTH__CACHE": "5s"},
        )
        assert settings.api.auth.users[0].password == "12345"
        assert settings.api.auth.cache == 5.0

    def test_a_variable_can_hold_a_list_or_a_mapping(self, read):
        settings = read(
            "",
            {
                "SLIPWAY_ORCHESTRATORS": "[{name: one}, {name: two}]",
                "SLIPWAY_ENGINE": "{kill_grace: 1s}",
                "SLIPWAY_ENGINE__PASS_ENV": "[A, B]",
            },
        )
        assert [o.name for o in settings.orchestrators] == ["one", "two", "load"]
        assert settings.engine.kill_grace == 1.0
        assert settings.engine.pass_env == ["A", "B"]

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", True)])
    def test_a_variable_can_be_a_switch(self, read, text, value):
        assert read("", {"SLIPWAY_API__INSECURE": text}).api.insecure is value

    def test_the_data_folder_has_a_variable(self, read):
        assert read("", {"SLIPWAY_DATA_DIR": "/data"}).data_dir == Path("/data")

    def test_options_win_over_variables_and_these_over_the_file(self, read):
        environ = {"SLIPWAY_API__PORT": "2"}
        assert read("api: {port: 1}", environ).api.port == 2
        assert read("api: {port: 1}", environ, api__port="3").api.port == 3

    @pytest.mark.parametrize(
        ("variable", "value", "path"),
        [
            ("SLIPWAY_API__PROT", "1", "api.prot"),
            ("SLIPWAY_NOTHING", "1", "nothing"),
            ("SLIPWAY_API__PORT", "many", "api.port"),
            ("SLIPWAY_API__PORT__X", "1", "SLIPWAY_API__PORT__X"),
            ("SLIPWAY_API__AUTH__USERS__3__PASSWORD", "1", "SLIPWAY_API__AUTH__USERS__3__PASSWORD"),
        ],
    )
    def test_a_variable_that_fits_nothing_is_named(self, faults, variable, value, path):
        text = "api: {port: 80, auth: {users: [{username: ada, password: x}]}}"
        assert path in faults(text, {variable: value})

    def test_variables_of_the_client_are_not_settings(self, read):
        environ = {
            "SLIPWAY_URL": "http://x", "SLIPWAY_USER": "u", "SLIPWAY_PASSWORD": "p",
            "SLIPWAY_OUTPUT": "/o", "SLIPWAY_CONFIG": "/c", "SLIPWAYS": "x",
        }  # fmt: skip
        assert read("", environ) == read("")

    def test_variables_that_kubernetes_makes_of_a_service_are_not_settings(self, read):
        environ = {
            "SLIPWAY_SERVICE_HOST": "10.0.0.1", "SLIPWAY_SERVICE_PORT": "80",
            "SLIPWAY_SERVICE_PORT_HTTP": "80", "SLIPWAY_PORT": "tcp://10.0.0.1:80",
            "SLIPWAY_PORT_80_TCP": "tcp://10.0.0.1:80", "SLIPWAY_PORT_80_TCP_PROTO": "tcp",
            "SLIPWAY_PORT_80_TCP_PORT": "80", "SLIPWAY_PORT_80_TCP_ADDR": "10.0.0.1",
            "SLIPWAY_WEB_SERVICE_HOST": "10.0.0.2", "SLIPWAY_WEB_PORT_80_TCP_ADDR": "10.0.0.2",
        }  # fmt: skip
        assert read("", environ) == read("")

    def test_the_master_key_has_a_variable(self, read):
        settings = read("", {"SLIPWAY_MASTER_KEY": "a2V5"})
        assert settings.master_key == "a2V5"
        assert "a2V5" not in repr(settings)


class TestUsers:
    def test_a_user_with_a_hash_and_roles(self, read):
        user = (
            f"{{username: ada, password_hash: '{hash_password('x')}', roles: [developer, admin]}}"
        )
        settings = read(f"api: {{auth: {{type: basic, users: [{user}]}}}}")
        assert settings.api.auth.users[0].roles == [Role.DEVELOPER, Role.ADMIN]

    def test_a_user_without_roles_is_a_user(self, read):
        settings = read("api: {auth: {type: basic, users: [{username: ada, password: x}]}}")
        assert settings.api.auth.users[0].roles == [Role.USER]


class TestWords:
    @pytest.mark.parametrize(
        ("text", "of", "expected"),
        [
            ("observability: {log_level: debug}", lambda s: s.observability.log_level, "DEBUG"),
            ("observability: {log_level: Warning}", lambda s: s.observability.log_level, "WARNING"),
            ("observability: {log_format: JSON}", lambda s: s.observability.log_format, "json"),
            ("observability: {access_log: All}", lambda s: s.observability.access_log, "all"),
            ("ssh_keys: {store: Embedded}", lambda s: s.ssh_keys.store, "embedded"),
            ("ssh_keys: {algorithm: RSA-4096}", lambda s: s.ssh_keys.algorithm, "rsa-4096"),
            (
                "api: {auth: {type: basic, users: [{username: a, password: b, roles: [Admin]}]}}",
                lambda s: s.api.auth.users[0].roles,
                [Role.ADMIN],
            ),
        ],
    )
    def test_a_choice_is_taken_in_letters_of_whatever_case(self, read, text, of, expected):
        assert of(read(text)) == expected

    def test_so_it_is_from_the_environment(self, read):
        settings = read(environ={"SLIPWAY_OBSERVABILITY__LOG_LEVEL": "debug"})
        assert settings.observability.log_level == "DEBUG"

    def test_any_other_word_is_told_what_there_is(self, faults):
        assert faults("observability: {log_level: verbose}") == {
            "observability.log_level": "must be one of: DEBUG, INFO, WARNING, ERROR"
        }


class TestFaultsAtOnce:
    def test_what_is_wrong_between_settings_is_told_beside_what_is_wrong_of_one(self, faults):
        text = """
        nonsense: 1
        api: {wattle: {port: 8080}, dialects: [root, none], rate_limit: {requests_per_minute: -1}}
        ssh_keys: {store: vault}
        database: {url: nothing}
        orchestrators: [{name: hpc, type: alien4cloud, url: x}, {name: b, type: unheard-of}]
        """
        assert faults(text).keys() == {
            "nonsense", "api.wattle.port", "api.dialects[1]", "api.rate_limit.requests_per_minute",
            "ssh_keys.vault", "database.url", "orchestrators[0].url", "orchestrators[0].user",
            "orchestrators[0].password", "orchestrators[1].type",
        }  # fmt: skip

    def test_the_page_takes_the_api_that_it_reads(self, faults):
        expected = {"api.dialects": "must name 'root', which 'ui' reads, as well"}
        assert faults("api: {dialects: [wattle, ui]}") == expected

    @pytest.mark.parametrize(
        "text",
        [
            "api: {host: 0.0.0.0, auth: {type: 7}}",
            "api: {host: 0.0.0.0, auth: {type: basic, users: [{username: a, password: 7}]}}",
        ],
    )
    def test_nothing_is_said_of_what_could_not_be_read(self, faults, text):
        assert all(path.startswith("api.auth") for path in faults(text))

from sagemaker_local.images.pip_configuration import PipConfiguration, read_pip_configuration


def test_files_and_variables_are_read_in_pips_order(tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://mirror/simple\nextra-index-url =\n    https://one\n    https://two\n"
        "[install]\nfind-links = /absent\n"
    )
    chosen = tmp_path / "chosen.conf"
    chosen.write_text("[global]\nindex_url = https://other/simple\ntrusted-host = mirror\n")
    found = read_pip_configuration(
        {
            "HOME": str(tmp_path),
            "XDG_CONFIG_DIRS": str(tmp_path / "none"),
            "PIP_CONFIG_FILE": str(chosen),
            "PIP_FIND_LINKS": f"{mirror} https://wheels",
        }
    )
    assert found.index_url == "https://other/simple"
    assert found.extra_index_urls == ("https://one", "https://two")
    assert found.find_links == (str(mirror), "https://wheels")
    assert found.trusted_hosts == ("mirror",)
    assert found.local_directories() == (mirror,)


def test_it_is_said_to_uv_and_to_programs():
    found = PipConfiguration("https://a", ("file:///b",), ("/c",), ("h",), no_index=True)
    assert found.for_uv() == [
        "--default-index=https://a",
        "--index=file:///b",
        "--find-links=/c",
        "--allow-insecure-host=h",
        "--no-index",
        "--index-strategy=unsafe-best-match",
    ]
    assert found.for_programs() == {
        "PIP_INDEX_URL": "https://a",
        "PIP_EXTRA_INDEX_URL": "file:///b",
        "PIP_FIND_LINKS": "/c",
        "PIP_TRUSTED_HOST": "h",
        "PIP_NO_INDEX": "1",
    }


def test_nothing_configured_says_nothing(tmp_path, monkeypatch):
    empty = read_pip_configuration({"PIP_CONFIG_FILE": "/dev/null"})
    assert empty == PipConfiguration()
    assert empty.for_programs() == {}

"""A headless Chromium that records what a page asks for and complains of."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

INSTALL = "Chromium and its driver are needed. Debian: apt-get install chromium chromium-driver"


class Browser:
    """One page, as a reader's browser shows it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver

    def open(self, page: Path | str) -> None:
        """Open a file, or an address."""
        self._driver.get(page if isinstance(page, str) else page.resolve().as_uri())

    def forget(self) -> None:
        """Leave the page, and what was recorded of it."""
        self._driver.get("about:blank")
        self.complaints()
        self.requests()

    def become(self, *, width: int = 1000, scheme: str = "light") -> None:
        """Take a width in CSS pixels, and light or dark."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        preference = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", preference)

    def ask(self, script: str) -> Any:
        """What a script returns."""
        return self._driver.execute_script(f"return {script}")

    def press(self, keys: str) -> None:
        """Type on the keyboard."""
        webdriver.ActionChains(self._driver).send_keys(keys).perform()

    def complaints(self) -> list[str]:
        """Errors and warnings of the console."""
        return [entry["message"] for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def requests(self) -> list[str]:
        """URLs that were asked for."""
        entries = self._driver.get_log("performance")  # type: ignore[no-untyped-call]
        events = [json.loads(entry["message"])["message"] for entry in entries]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; a machine without it fails the test, and says what to install."""
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()

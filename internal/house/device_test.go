package house

import (
	"regexp"
	"strings"
	"testing"
)

const deviceDoc, deviceCode = "docs/first-device.md", "aio/example_device_test.go"

// TestFirstDeviceQuotes checks that the walk-through shows what is compiled and run: each of its
// Go blocks is a part of the example, indented or not, and each function of it is in a block.
func TestFirstDeviceQuotes(t *testing.T) {
	doc, code := read(t, deviceDoc), read(t, deviceCode)
	blocks := goBlocks(doc)
	for _, block := range blocks {
		if !quotes(code, block) {
			t.Errorf("this block of %s is no part of %s:\n%s", deviceDoc, deviceCode, block)
		}
	}
	shown := strings.Join(blocks, "")
	for _, method := range regexp.MustCompile(`(?m)^func (newSquarer|\(d \*squarer\) \w+)\(`).FindAllString(code, -1) {
		if !strings.Contains(shown, method) {
			t.Errorf("%s does not show %s", deviceDoc, method)
		}
	}
}

// quotes reports whether block is a run of lines of code, less the tabs that its first line has there.
func quotes(code, block string) bool {
	for tabs := range 5 {
		indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(block, strings.Repeat("\t", tabs)+"$1")
		if block != "" && strings.Contains("\n"+code, "\n"+indented) {
			return true
		}
	}
	return false
}

func TestQuotesCanFail(t *testing.T) {
	const code = "func f() {\n\tif a {\n\t\tb()\n\t}\n\n\tc()\n}\n"
	for _, good := range []string{code, "if a {\n\tb()\n}\n\nc()\n", "\tc()\n"} {
		if !quotes(code, good) {
			t.Errorf("is no quotation: %q", good)
		}
	}
	for _, bad := range []string{"", "if a {\n\tb()\n\tc()\n", "a {\n", "if a {\nb()\n"} {
		if quotes(code, bad) {
			t.Errorf("is a quotation: %q", bad)
		}
	}
}

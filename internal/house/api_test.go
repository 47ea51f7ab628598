package house

import (
	"flag"
	"fmt"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write the listings of the API")

// public are the packages whose API is promised, with the file that lists it.
var public = map[string]string{
	"aio": "aio.txt", "coroutine": "coroutine.txt", "aio/tracing": "tracing.txt", "mainloop": "mainloop.txt", "pool": "pool.txt", "file": "file.txt", "backend": "backend.txt",
	"backend/epoll": "epoll.txt", "backend/iouring": "iouring.txt", "backend/ppoll": "ppoll.txt", "backend/backendtest": "backendtest.txt",
}

// TestAPIChangesOnPurpose compares what each public package exports with its listing in api/. What
// leaves the listing breaks programs, and CHANGELOG.md says what to write instead.
func TestAPIChangesOnPurpose(t *testing.T) {
	for dir, name := range public {
		now := strings.Join(exported(check(t, dir).pkg), "\n") + "\n"
		path := filepath.Join(root, "api", name)
		if *updateAPI {
			if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range difference(string(before), now) {
			t.Errorf("api/%s: %s", name, change)
		}
	}
	if t.Failed() {
		t.Log("after a change on purpose: `make api`, and an entry in CHANGELOG.md")
	}
}

// difference lists the lines that only one of the two has.
func difference(before, now string) (changes []string) {
	old, new := strings.Split(before, "\n"), strings.Split(now, "\n")
	for _, line := range old {
		if !slices.Contains(new, line) {
			changes = append(changes, "-"+line)
		}
	}
	for _, line := range new {
		if !slices.Contains(old, line) {
			changes = append(changes, "+"+line)
		}
	}
	return changes
}

// exported lists what a package exports, a line for each constant, variable, function, type, field
// and method.
func exported(pkg *types.Package) (lines []string) {
	short := func(other *types.Package) string {
		if other == pkg {
			return ""
		}
		return other.Name()
	}
	for _, name := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		switch o := object.(type) {
		case *types.Const:
			lines = append(lines, fmt.Sprintf("const %s %s = %s", name, types.TypeString(o.Type(), short), o.Val()))
		case *types.TypeName:
			lines = append(lines, exportedType(o, short)...)
		default:
			lines = append(lines, types.ObjectString(o, short))
		}
	}
	return lines
}

func exportedType(o *types.TypeName, short types.Qualifier) (lines []string) {
	name := o.Name()
	if o.IsAlias() {
		return []string{"type " + name + " = " + types.TypeString(types.Unalias(o.Type()), short)}
	}
	switch u := o.Type().Underlying().(type) {
	case *types.Struct:
		lines = append(lines, "type "+name+" struct")
		for f := range u.Fields() {
			if f.Exported() {
				lines = append(lines, "field "+name+"."+f.Name()+" "+types.TypeString(f.Type(), short))
			}
		}
	case *types.Interface:
		lines = append(lines, "type "+name+" interface")
		for m := range u.Methods() { // one more breaks what implements it
			lines = append(lines, "method "+name+"."+m.Name()+strings.TrimPrefix(types.TypeString(m.Type(), short), "func"))
		}
		return lines
	default:
		lines = append(lines, "type "+name+" "+types.TypeString(u, short))
	}
	for s := range types.NewMethodSet(types.NewPointer(o.Type())).Methods() {
		if s.Obj().Exported() {
			lines = append(lines, "method (*"+name+")."+s.Obj().Name()+strings.TrimPrefix(types.TypeString(s.Type(), short), "func"))
		}
	}
	return lines
}

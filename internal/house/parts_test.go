package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// A part is an unexported struct type of the package that Context, or another part, has
// as a field by value. Only the file that declares a part touches its fields and writes
// literals of it; all other files call its methods.

func TestPartsAreTheirOwn(t *testing.T) {
	c := check(t, "aio")
	parts := c.parts("Context")
	if len(parts) < 12 {
		t.Errorf("aio.Context has %d parts, which is too few: %v", len(parts), parts)
	}
	for _, breach := range c.breaches(parts) {
		t.Errorf("%s: call a method instead", breach)
	}
}

// TestPartsBreaches makes sure that the rule above is able to refuse.
func TestPartsBreaches(t *testing.T) {
	c := check(t, "internal/house/testdata/parts")
	parts := c.parts("Context")
	if want := "element embedded first inner"; names(parts) != want {
		t.Errorf("the parts are %s, want %s", names(parts), want)
	}
	want := []string{
		"context.go:13: first.count",
		"context.go:14: element.next",
		"context.go:15: first.inner", "context.go:15: inner.depth",
		"context.go:16: embedded.promoted", "context.go:16: first.embedded",
		"context.go:17: first{}",
		"context.go:18: element{}",
	}
	var got []string
	for _, breach := range c.breaches(parts) {
		place, _, _ := strings.Cut(breach, " belongs to")
		got = append(got, place)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("breaches:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func names(parts map[*types.TypeName]bool) string {
	var list []string
	for p := range parts {
		list = append(list, p.Name())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// parts returns the parts of the struct type called name.
func (c *checked) parts(name string) map[*types.TypeName]bool {
	found := map[*types.TypeName]bool{}
	var walk func(s *types.Struct)
	walk = func(s *types.Struct) {
		for f := range s.Fields() {
			if n, inner := c.part(f.Type()); n != nil && !found[n] {
				found[n] = true
				walk(inner)
			}
		}
	}
	walk(c.pkg.Scope().Lookup(name).Type().Underlying().(*types.Struct))
	return found
}

// part returns the name and the struct of a field's type, if that can be a part.
func (c *checked) part(t types.Type) (*types.TypeName, *types.Struct) {
	if array, ok := t.(*types.Array); ok {
		t = array.Elem()
	}
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() != c.pkg || n.Obj().Exported() {
		return nil, nil
	}
	if s, ok := n.Underlying().(*types.Struct); ok {
		return n.Obj(), s
	}
	return nil, nil
}

// breaches lists the places where a file touches a part that another file declares.
func (c *checked) breaches(parts map[*types.TypeName]bool) (found []string) {
	look := func(t types.Type, pos token.Pos, what string) {
		if n, _ := c.part(t); n != nil && parts[n] && c.file(n.Pos()) != c.file(pos) {
			found = append(found, fmt.Sprintf("%s: %s%s belongs to %s: call a method",
				c.at(pos), n.Name(), what, c.file(n.Pos())))
		}
	}
	for _, f := range c.files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				look(c.info.Types[n].Type, n.Pos(), "{}")
			case *ast.SelectorExpr:
				c.fields(n, func(owner types.Type, field string) { look(owner, n.Pos(), "."+field) })
			}
			return true
		})
	}
	return found
}

// fields calls visit for each field that a selector goes through, embedded ones
// included. A method of an embedded field is a call, not a touch.
func (c *checked) fields(e *ast.SelectorExpr, visit func(owner types.Type, field string)) {
	s := c.info.Selections[e]
	if s == nil || s.Kind() != types.FieldVal {
		return
	}
	owner := s.Recv()
	for _, i := range s.Index() {
		if p, ok := owner.Underlying().(*types.Pointer); ok {
			owner = p.Elem()
		}
		f := owner.Underlying().(*types.Struct).Field(i)
		visit(owner, f.Name())
		owner = f.Type()
	}
}

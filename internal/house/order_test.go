package house

import (
	"go/ast"
	"go/types"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// arrowsUp is how many arrows between the files of aio may run back up.
const arrowsUp = 4

// TestCallsRunDown orders the files of aio so that each stands above those it calls, as
// far as that goes. An arrow goes from a file to one that declares a function it calls.
func TestCallsRunDown(t *testing.T) {
	g := check(t, "aio").calls()
	order, up := g.order()
	t.Logf("%d arrows, %d of them up; from the top: %s", len(g), len(up), strings.Join(order, " "))
	for _, a := range up {
		t.Logf("up: %s calls %s: %s", a.from, a.to, strings.Join(g[a], ", "))
	}
	if len(up) > arrowsUp {
		t.Errorf("%d arrows run back up, the limit is %d", len(up), arrowsUp)
	}
}

func TestCallsRunDownSeesACircle(t *testing.T) {
	g := check(t, "internal/house/testdata/parts").calls()
	order, up := g.order()
	if len(g) != 3 || len(up) != 1 {
		t.Errorf("%d arrows, %d of them up, want 3 and 1; order: %v", len(g), len(up), order)
	}
}

// arrow is a pair of files, the first of which calls the second.
type arrow struct{ from, to string }

// graph has the functions that each arrow stands for.
type graph map[arrow][]string

func (c *checked) calls() graph {
	g := graph{}
	for _, f := range c.files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fn := c.callee(call)
			if fn == nil || fn.Pkg() != c.pkg || c.file(fn.Pos()) == c.file(n.Pos()) {
				return true
			}
			a := arrow{c.file(n.Pos()), c.file(fn.Pos())}
			if !slices.Contains(g[a], fn.Name()) {
				g[a] = append(g[a], fn.Name())
			}
			return true
		})
	}
	return g
}

// callee returns the function or method that a call names, or nil if that is only known
// when it runs.
func (c *checked) callee(call *ast.CallExpr) *types.Func {
	fun := ast.Unparen(call.Fun)
	if generic, ok := fun.(*ast.IndexExpr); ok {
		fun = generic.X
	}
	if s, ok := fun.(*ast.SelectorExpr); ok {
		fun = s.Sel
	}
	id, ok := fun.(*ast.Ident)
	if !ok {
		return nil
	}
	fn, ok := c.info.Uses[id].(*types.Func)
	if !ok {
		return nil
	}
	if recv := fn.Signature().Recv(); recv != nil && types.IsInterface(recv.Type()) {
		return nil
	}
	return fn.Origin()
}

// order moves one file after another to where the fewest arrows run up, until none gets
// better, from several starts. The best order may be one that it does not find.
func (g graph) order() (best []string, up []arrow) {
	files := map[string]bool{}
	for a := range g {
		files[a.from], files[a.to] = true, true
	}
	random := rand.New(rand.NewPCG(1, 2))
	order := slices.Sorted(maps.Keys(files))
	for range 60 {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for g.improve(order) {
		}
		if now := g.up(order); best == nil || len(now) < len(up) {
			best, up = slices.Clone(order), now
		}
	}
	return best, up
}

// improve moves each file to its best place and reports whether that helped.
func (g graph) improve(order []string) (better bool) {
	for _, f := range slices.Clone(order) {
		from := slices.Index(order, f)
		if to := g.bestPlace(order, from); to != from {
			better = true
			copy(order, slices.Insert(slices.Delete(slices.Clone(order), from, from+1), to, f))
		}
	}
	return better
}

// bestPlace returns where the file at index from would have the fewest arrows up.
func (g graph) bestPlace(order []string, from int) int {
	gain, best, place := 0, 0, from
	for step := -1; step <= 1; step += 2 {
		gain = 0
		for i := from + step; i >= 0 && i < len(order); i += step {
			gain += step * (g.count(order[from], order[i]) - g.count(order[i], order[from]))
			if gain < best {
				best, place = gain, i
			}
		}
	}
	return place
}

func (g graph) count(from, to string) int {
	if g[arrow{from, to}] != nil {
		return 1
	}
	return 0
}

// up returns the arrows that run back up in this order.
func (g graph) up(order []string) (up []arrow) {
	for i, below := range order {
		for _, above := range order[:i] {
			if g.count(below, above) > 0 {
				up = append(up, arrow{below, above})
			}
		}
	}
	return up
}

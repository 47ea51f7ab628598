package report

import (
	_ "embed"
	"fmt"
)

// plotCSS is the part of the style sheet that pictures need, alone or in the page. It has
// no variables, because not every program that shows SVG knows them.
//
//go:embed plot.css
var plotCSS string

// colours is how many plot.css has, as classes c0, c1 and so on. They are those of Okabe
// and Ito, which people with any kind of colour vision can tell apart, made darker or
// lighter for contrast with the background.
const colours = 8

var dashes = [...]string{"none", "7 3", "2 2.5", "8 2.5 1.5 2.5", "1 4", "4 1.5"}

// markers are shapes around the point that a path has come to: class and path.
var markers = [colours][2]string{
	{"full", circle}, {"full", square}, {"full", triangle}, {"open", circle},
	{"open", "m-3-3l6 6m0-6l-6 6"}, {"open", triangle}, {"open", square}, {"open", "m-4 0h8m-4-4v8"},
}

const (
	circle   = "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z"
	square   = "m-3-3h6v6h-6z"
	triangle = "m0-4l3.7 6.4h-7.4z"
)

// look is how a row looks in every picture: its colour, and its number among the rows of
// that colour. Dashes and markers together tell the rows apart without the colours.
type look struct{ colour, number int }

func (l look) class() string { return fmt.Sprintf("c%d", l.colour) }

func (l look) dashes() string { return dashes[l.number%len(dashes)] }

func (l look) marker() (class, path string) {
	m := markers[(l.colour+3*l.number)%len(markers)]
	return m[0], m[1]
}

// looks gives a look to each row of the description, always the same, and then to each
// other row of the report.
func (r *Report) looks() map[string]look {
	looks, own, used := map[string]look{}, 0, [colours]int{}
	add := func(row Row) {
		l, shared := looks[row.Colour]
		if !shared {
			l.colour = own % colours
			own++
		}
		l.number = used[l.colour]
		used[l.colour]++
		looks[row.Name] = l
	}
	for _, row := range r.Description.Rows {
		add(row)
	}
	for _, name := range r.RowNames() {
		if _, ok := looks[name]; !ok {
			add(Row{Name: name})
		}
	}
	return looks
}

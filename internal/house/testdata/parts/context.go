// Package parts has one breach of each kind, and what looks like one.
package parts

type Context struct {
	name  string
	first first
	list  [2]element
	other *other
}

func (c *Context) Do() {
	c.name = ""
	c.first.count++         // a breach: field of another file's part
	c.list[0].next = nil    // a breach: element of an array
	_ = c.first.inner.depth // a breach twice: the part and the part within
	_ = c.first.promoted    // a breach twice: through an embedded part
	c.first = first{}       // a breach: a literal
	_ = []element{{}}       // a breach: a literal whose type is left out
	c.other.free = 1        // none: Context has a pointer only
	c.first.Work()          // none: a method
	c.first.bump()
}

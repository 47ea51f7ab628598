package parts

type embedded struct{ promoted int }

type inner struct{ depth int }

type element struct{ next *element }

type other struct{ free int }

// up is an arrow back: context.go calls first.go, which calls this.
func (o *other) up() { new(Context).Do() }

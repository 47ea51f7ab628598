package parts

type worker interface{ Work() }

type first struct {
	worker
	embedded
	count int
	inner inner
}

func (f *first) bump() {
	f.count++
	_ = first{}
	f.back()
}

func (f *first) back() { new(other).up() }

package e2e;

/** Cases about one subject. Main lists the suites; a new subject is a new class there. */
interface Suite {
    void declare(Cases cases);
}

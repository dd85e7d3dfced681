namespace Shinano.XenAbi;

/// <summary>How a grant is mapped. Source: public/grant_table.h: GNTMAP_*. Bits 16 and up are for the available bits of the page-table entry.</summary>
[Flags]
public enum GrantMapFlags : uint
{
    None = 0,
    Device = 1,
    Host = 2,
    ReadOnly = 4,
    Application = 8,
    ContainsPte = 16,
}

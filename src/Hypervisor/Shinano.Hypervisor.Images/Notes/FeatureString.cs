using System.Collections.Immutable;

namespace Shinano.Hypervisor.Images.Notes;

/// <summary>The value of a FEATURES note: names separated by '|', '!' before those that the kernel requires.</summary>
internal static class FeatureString
{
    /// <summary>XENFEAT_dom0 (<c>public/features.h</c>): operation as domain 0.</summary>
    public const int Dom0 = 11;

    /// <summary>The features that have a name in the string, as in Xen 4.17; later ones are only given as numbers.</summary>
    private static readonly ImmutableArray<(string Name, int Number)> Names =
    [
        ("writable_page_tables", 0),
        ("writable_descriptor_tables", 1),
        ("auto_translated_physmap", 2),
        ("supervisor_mode_kernel", 3),
        ("pae_pgdir_above_4gb", 4),
        ("hvm_callback_vector", 8),
        ("dom0", Dom0),
    ];

    /// <summary>Parses <paramref name="text"/>. Unknown names count only when required: Xen refuses the kernel then.</summary>
    public static (uint Supported, uint Required, ImmutableArray<string> UnknownRequired) Parse(string text)
    {
        uint supported = 0;
        uint required = 0;
        var unknown = ImmutableArray.CreateBuilder<string>();
        foreach (var item in text.Split('|', StringSplitOptions.RemoveEmptyEntries))
        {
            var must = item[0] == '!';
            var name = must ? item[1..] : item;
            var number = NumberOf(name);
            if (number < 0)
            {
                if (must)
                {
                    unknown.Add(name);
                }

                continue;
            }

            supported |= 1u << number;
            required |= must ? 1u << number : 0;
        }

        return (supported, required, unknown.ToImmutable());
    }

    private static int NumberOf(string name)
    {
        foreach (var (known, number) in Names)
        {
            if (known == name)
            {
                return number;
            }
        }

        return -1;
    }
}

using System.Globalization;

namespace Shinano.Control.Configuration.Disks;

/// <summary>Names of a guest's disks and their numbers in xenstore. Source: docs/man/xen-vbd-interface.7 of Xen.</summary>
/// <remarks>
/// <code>
/// xvda..., d0p0...   202 &lt;&lt; 8 | disk &lt;&lt; 4 | partition      to disk 15 and partition 15
///                    1 &lt;&lt; 28 | disk &lt;&lt; 8 | partition        beyond
/// hda to hdd         3 or 22 &lt;&lt; 8 | (disk &amp; 1) &lt;&lt; 6 | partition
/// sda to sdp         8 &lt;&lt; 8 | disk &lt;&lt; 4 | partition
/// </code>
/// A number (decimal, or hexadecimal with 0x) stands for itself.
/// </remarks>
public static class VirtualDiskName
{
    private const int MaximumDisk = (1 << 20) - 1;

    /// <summary>The number of a name; false for what is no name of a disk.</summary>
    public static bool TryParse(string name, out int number)
    {
        ArgumentNullException.ThrowIfNull(name);
        number = 0;
        if (TryParseNumber(name, out number))
        {
            return true;
        }

        if (name.Length >= 4 && name[0] == 'd' && char.IsAsciiDigit(name[1]) && name.IndexOf('p', StringComparison.Ordinal) is > 1 and var p)
        {
            return int.TryParse(name.AsSpan(1, p - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int disk)
                && TryParsePartition(name[(p + 1)..], 255, out int part)
                && TryEncodeXen(disk, part, out number);
        }

        if (name.StartsWith("xvd", StringComparison.Ordinal))
        {
            return TryParseLetters(name[3..], 255, out int disk, out int part) && TryEncodeXen(disk, part, out number);
        }

        if (name.StartsWith("hd", StringComparison.Ordinal) && TryParseLetters(name[2..], 63, out int ide, out int idePart) && ide <= 3)
        {
            number = ((ide >> 1) != 0 ? 22 : 3) << 8 | (ide & 1) << 6 | idePart;
            return true;
        }

        if (name.StartsWith("sd", StringComparison.Ordinal) && TryParseLetters(name[2..], 15, out int scsi, out int scsiPart) && scsi <= 15)
        {
            number = 8 << 8 | scsi << 4 | scsiPart;
            return true;
        }

        return false;
    }

    /// <summary>The name that a number has in Linux and Xen; the number itself when it has none.</summary>
    public static string NameOf(int number)
    {
        if ((number >> 28) == 1)
        {
            return $"xvd{Letters((number >> 8) & MaximumDisk)}{Partition(number & 0xff)}";
        }

        return (number >> 8) switch
        {
            202 => $"xvd{Letters((number >> 4) & 15)}{Partition(number & 15)}",
            8 => $"sd{Letters((number >> 4) & 15)}{Partition(number & 15)}",
            3 => $"hd{Letters((number >> 6) & 1)}{Partition(number & 63)}",
            22 => $"hd{Letters(2 + ((number >> 6) & 1))}{Partition(number & 63)}",
            _ => number.ToString(CultureInfo.InvariantCulture),
        };
    }

    private static bool TryParseNumber(string name, out int number) =>
        name.StartsWith("0x", StringComparison.Ordinal)
            ? int.TryParse(name.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number) && number > 0
            : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number > 0;

    private static bool TryEncodeXen(int disk, int partition, out int number)
    {
        number = disk <= 15 && partition <= 15 ? 202 << 8 | disk << 4 | partition : 1 << 28 | disk << 8 | partition;
        return disk <= MaximumDisk;
    }

    /// <summary>a is 0, z is 25, aa is 26, as the kernels count; then a partition.</summary>
    private static bool TryParseLetters(string text, int maximumPartition, out int disk, out int partition)
    {
        disk = -1;
        partition = 0;
        int length = 0;
        while (length < text.Length && length < 5 && char.IsAsciiLetterLower(text[length]))
        {
            disk = ((disk + 1) * 26) + (text[length++] - 'a');
        }

        return length > 0 && disk <= MaximumDisk && (length == text.Length || (text[length] != '0' && TryParsePartition(text[length..], maximumPartition, out partition)));
    }

    private static bool TryParsePartition(string text, int maximum, out int partition) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out partition) && partition <= maximum;

    private static string Letters(int disk)
    {
        string letters = "";
        for (int rest = disk; rest >= 0; rest = (rest / 26) - 1)
        {
            letters = (char)('a' + (rest % 26)) + letters;
        }

        return letters;
    }

    private static string Partition(int partition) => partition == 0 ? "" : partition.ToString(CultureInfo.InvariantCulture);
}

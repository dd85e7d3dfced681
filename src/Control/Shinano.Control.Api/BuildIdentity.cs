using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Shinano.Control.Api;

/// <summary>Tells one build of a program from another.</summary>
public static class BuildIdentity
{
    /// <summary>
    /// A short text that changes whenever one of our assemblies beside a program is built anew: of their names, lengths and times of change. Cheap enough for each
    /// command, where a look into the assemblies is not.
    /// </summary>
    /// <param name="program">A managed program's .dll.</param>
    /// <exception cref="IOException">Its directory cannot be read.</exception>
    public static string Of(string program)
    {
        DirectoryInfo directory = new(Path.GetDirectoryName(Path.GetFullPath(program))!);
        StringBuilder text = new();
        foreach (FileInfo file in directory.EnumerateFiles("Shinano.*.dll").OrderBy(file => file.Name, StringComparer.Ordinal))
        {
            text.Append(CultureInfo.InvariantCulture, $"{file.Name} {file.Length} {file.LastWriteTimeUtc.Ticks}\n");
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())).AsSpan(0, 8));
    }
}

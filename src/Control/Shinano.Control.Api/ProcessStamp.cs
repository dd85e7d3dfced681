using System.Globalization;

namespace Shinano.Control.Api;

/// <summary>
/// A process that cannot be mistaken for a later one with the same id: id and start time in clock ticks since boot (proc(5): stat field 22).
/// </summary>
public sealed record ProcessStamp(int Id, long StartTicks)
{
    /// <summary>The process with this id, or null when there is none (a zombie counts as none: it has ended).</summary>
    public static ProcessStamp? Of(int id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");

            // The second field is the command in parentheses and may hold anything, so count from its last ')'.
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : new ProcessStamp(id, long.Parse(fields[19], CultureInfo.InvariantCulture));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public bool IsAlive() => Of(Id) == this;
}

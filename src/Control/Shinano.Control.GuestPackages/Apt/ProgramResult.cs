namespace Shinano.Control.GuestPackages.Apt;

/// <summary>How a program ended. <see cref="NotFound"/> is the shell's code for a program that does not exist.</summary>
internal sealed record ProgramResult(int ExitCode, string Output, string Error)
{
    public const int NotFound = 127;

    public bool Succeeded => ExitCode == 0;
}

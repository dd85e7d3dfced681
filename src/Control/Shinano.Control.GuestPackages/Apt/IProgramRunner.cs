namespace Shinano.Control.GuestPackages.Apt;

/// <summary>Runs a program of the host to its end. The tests put their own in its place.</summary>
internal interface IProgramRunner
{
    /// <param name="program">A name to look for in PATH, or a path.</param>
    /// <param name="arguments">Passed as they are, without a shell.</param>
    /// <param name="workingDirectory">An existing directory.</param>
    /// <param name="onOutputLine">Called for each line of standard output as it comes, on any thread.</param>
    /// <param name="cancellation">Kills the program.</param>
    Task<ProgramResult> RunAsync(
        string program,
        IReadOnlyList<string> arguments,
        string workingDirectory,
        Action<string>? onOutputLine,
        CancellationToken cancellation);
}

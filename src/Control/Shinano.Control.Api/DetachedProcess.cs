using System.Diagnostics;

namespace Shinano.Control.Api;

/// <summary>Starts programs that outlive us: a session of their own, no terminal, output to a file.</summary>
public static class DetachedProcess
{
    /// <summary>
    /// Starts <c>dotnet PROGRAM ARGUMENTS</c>. The shell in between only redirects and is replaced, so the returned id is the program's.
    /// .NET opens files close-on-exec, so nothing of ours leaks into it.
    /// </summary>
    /// <param name="program">A managed program's .dll.</param>
    /// <param name="arguments">Passed as they are; no shell looks at them.</param>
    /// <param name="outputPath">Standard output and error are appended here.</param>
    public static Process StartManaged(string program, IEnumerable<string> arguments, string outputPath) =>
        Start(ProgramLocator.DotnetHost, [program, .. arguments], outputPath);

    /// <summary>The same for a program of the host's.</summary>
    /// <param name="program">Its path.</param>
    /// <param name="arguments">Passed as they are; no shell looks at them.</param>
    /// <param name="outputPath">Standard output and error are appended here.</param>
    public static Process Start(string program, IEnumerable<string> arguments, string outputPath)
    {
        ProcessStartInfo start = new("/bin/sh") { UseShellExecute = false };
        start.ArgumentList.Add("-c");

        // setsid(1) does not fork here: the shell is no group leader, so the process id stays.
        // Descriptors that were passed to us by whoever started us (systemd's sockets begin at 3) are not for the child.
        start.ArgumentList.Add("exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; exec setsid \"$@\" </dev/null >>\"$0\" 2>&1");
        start.ArgumentList.Add(outputPath);
        start.ArgumentList.Add(program);
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        start.WorkingDirectory = "/";
        return Process.Start(start) ?? throw new InvalidOperationException("/bin/sh could not be started");
    }
}
